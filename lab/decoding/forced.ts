// Forced decoding: a prompt runs at once, and the tokens that follow are fed one by one. A pass over the whole text would never sift,
// since the plugin is for decode steps.
import type { Decoder, Outputs } from './decoder.ts';
import { lastLogits, logSoftmax, mostLikely } from './logits.ts';
import { Sequence } from './sequence.ts';

/** A text to decode, and how much of it. */
export interface ForcedText {
  tokens: readonly number[];
  /** How many tokens the prompt has. */
  prompt: number;
  /** Decode steps after it, each of which feeds one token. */
  steps: number;
  /** What the prompt put out, if it has run; it stays the caller's. */
  past?: Outputs | undefined;
}

/** Decodes a text; `visit` gets the log-probabilities after every step, from 1 on. */
export async function decodeForced(
  decoder: Decoder,
  { tokens, prompt, steps, past }: ForcedText,
  visit: (step: number, logProbabilities: Float32Array) => void | Promise<void>,
): Promise<void> {
  const sequence = new Sequence(decoder, past, past ? prompt : 0);
  if (!past) await sequence.feed(tokens.slice(0, prompt));
  for (let step = 1; step <= steps; step++) {
    const outputs = await sequence.feed([tokens[prompt + step - 1]!]);
    await visit(step, logSoftmax(lastLogits(outputs)));
  }
  sequence.dispose();
}

/** What a model said after the prompt and after each step. */
export interface Continuation {
  /** The most likely tokens. */
  top: number[];
  /** The logits, [1 + steps][vocabulary]. */
  logits: Float32Array[];
}

/** Decodes given tokens after a prompt, and then `free` more steps, each of which feeds the token that was the most likely. */
export async function continueGreedily(
  decoder: Decoder,
  prompt: readonly number[],
  forced: readonly number[],
  free: number,
): Promise<Continuation> {
  const result: Continuation = { top: [], logits: [] };
  const note = (outputs: Outputs) => {
    const logits = lastLogits(outputs);
    result.logits.push(logits);
    result.top.push(mostLikely(logits));
  };
  const sequence = new Sequence(decoder);
  note(await sequence.feed(prompt));
  for (let i = 0; i < forced.length + free; i++) {
    note(await sequence.feed([forced[i] ?? result.top.at(-1)!]));
  }
  sequence.dispose();
  return result;
}
