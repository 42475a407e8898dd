import type { Conversation } from '../shared/conversation.ts';
import type { Conversations } from './conversations.ts';
import type { SharedCache } from './kv/shared-cache.ts';
import { viewOf } from './kv/views.ts';
import { type OrtTensor, presentName } from './runtime.ts';
import type { Tensors } from './session-hook.ts';

/** Whose runs are routed: the app's, or a comparison's. What the runs of one learn, count and hold disturbs no other. */
export interface Client {
  conversations: Conversations;
  /** The KV cache that is written in place, if there is one. */
  shared: SharedCache | undefined;
  /** The next run begins a prompt, however short: `generate` was called. */
  promptNext: boolean;
}

/** The past of a run: whose rows they are, and how many. */
export interface Past {
  length: number;
  batch: number;
  /** The shared cache, or the buffer of layer 0's keys. */
  owner: object | undefined;
}

/** The conversation that a run goes on with, or a new one. */
export function conversationOf(conversations: Conversations, past: Past, decodes: boolean): Conversation {
  const known = conversations.find(past.owner, past.length, past.batch);
  if (!known) return conversations.create(past.batch);
  if (!decodes) {
    // Another prompt on a kept cache: thresholds are learned anew for every request.
    known.restart();
    conversations.count++;
  }
  return known;
}

/** The present keys of a run: put out by the runtime, or written to a tensor that the caller passed for it, which is then not put out. */
export function presentOf(firstKey: string, outputs: Tensors, fetches: unknown): OrtTensor | undefined {
  const name = presentName(firstKey);
  const passed = typeof fetches === 'object' && fetches ? (fetches as Partial<Tensors>)[name] : undefined;
  return outputs[name] ?? passed ?? undefined;
}

/** What identifies the KV cache that a key tensor belongs to. */
export function ownerOf(tensor: OrtTensor | undefined): object | undefined {
  return viewOf(tensor)?.cache ?? (tensor?.location === 'gpu-buffer' ? tensor.gpuBuffer : undefined);
}
