import type { ChatMessage, ComparePrompt } from '../../comparison.ts';
import { invalidOption } from '../../errors.ts';
import type { HubTensor } from './runtime.ts';

/** The parts of a tokenizer of transformers.js that are used. */
interface Tokenizer {
  (text: string, options: object): { input_ids: HubTensor };
  decode(ids: number[], options: object): string;
  apply_chat_template(messages: readonly ChatMessage[], options: object): string;
  add_bos_token?: boolean;
  add_eos_token?: boolean;
}

/** What `enableSift` may have been given. */
interface Given {
  tokenizer?: Tokenizer | null;
  processor?: { tokenizer?: Tokenizer | null } | null;
  /** A pipeline has the name of its task. */
  task?: string;
}

/** A prompt in tokens, and what turns tokens into text. */
export interface ReadPrompt {
  tokens: number[];
  textOf(tokens: number[]): string | null;
}

function isChat(prompt: ComparePrompt): prompt is readonly ChatMessage[] {
  return Array.isArray(prompt) && typeof prompt[0] === 'object' && prompt[0] !== null && 'role' in prompt[0];
}

function isToken(id: unknown): boolean {
  return Number.isInteger(typeof id === 'bigint' ? Number(id) : id) && Number(id) >= 0;
}

/**
 * The tokens of a prompt, as a pipeline makes them.
 * @throws {SiftError} `INVALID_OPTION`
 */
export function readPrompt(target: unknown, prompt: ComparePrompt): ReadPrompt {
  const given = target as Given;
  const tokenizer = given.tokenizer ?? given.processor?.tokenizer ?? undefined;
  const textOf = (tokens: number[]) => tokenizer?.decode(tokens, { skip_special_tokens: true }) ?? null;
  if (typeof prompt === 'string' || isChat(prompt)) {
    if (!tokenizer) {
      const allowed =
        'the ids of tokens, since enableSift got no tokenizer; or enableSift({ model, tokenizer })';
      throw invalidOption('prompt', prompt, allowed);
    }
    const tokens = encode(tokenizer, prompt, given.task !== undefined);
    if (tokens.length === 0) throw invalidOption('prompt', prompt, 'a text of at least one token');
    return { tokens, textOf };
  }
  const ids = typeof prompt === 'object' && prompt !== null ? Array.from<unknown>(prompt) : [];
  if (ids.length === 0 || !ids.every(isToken))
    throw invalidOption('prompt', prompt, 'a text, the messages of a chat, or the ids of at least one token');
  return { tokens: ids.map(Number), textOf };
}

function encode(tokenizer: Tokenizer, prompt: string | readonly ChatMessage[], pipeline: boolean): number[] {
  const chat = typeof prompt !== 'string';
  const text = chat
    ? tokenizer.apply_chat_template(prompt, { tokenize: false, add_generation_prompt: true })
    : prompt;
  // A pipeline adds special tokens only where the tokenizer says so; a template has brought its own.
  const special = tokenizer.add_bos_token || tokenizer.add_eos_token || !pipeline;
  const { input_ids } = tokenizer(text, { add_special_tokens: !chat && special });
  return Array.from(input_ids.ort_tensor.data as BigInt64Array, Number);
}
