import { InterruptableStoppingCriteria, TextStreamer } from '@huggingface/transformers';
import type { Loaded } from './model.ts';

/** One generation: its text, its tokens and when each of them came. */
export interface Generation {
  text: string;
  tokens: bigint[];
  /** Milliseconds; token i (from 0) ends decode step i, token 0 ends the prefill. */
  times: number[];
  /** Milliseconds from the call to the first token. */
  prefill: number;
}

export interface GenerateOptions {
  prompt: string;
  /** Pass the prompt through the model's chat template. */
  chat: boolean;
  newTokens: number;
  /** Go on where the model would end, so that both sides decode equally many steps. */
  goOn: boolean;
}

/** Stops the generation under way. */
export const stopper = new InterruptableStoppingCriteria();

/** Generates greedily and reports as it goes. */
export async function generate(
  { generator }: Loaded,
  { prompt, chat, newTokens, goOn }: GenerateOptions,
  onText: (text: string) => void,
  onToken: (tokens: number) => void,
): Promise<Generation> {
  const result: Generation = { text: '', tokens: [], times: [], prefill: 0 };
  const streamer = new TextStreamer(generator.tokenizer, {
    skip_prompt: true,
    skip_special_tokens: true,
    token_callback_function: (tokens: bigint[]) => {
      result.times.push(performance.now());
      result.tokens.push(...tokens);
      onToken(result.tokens.length);
    },
    callback_function: (piece: string) => {
      result.text = (result.text + piece).trimStart();
      onText(result.text);
    },
  });
  const start = performance.now();
  const options = {
    max_new_tokens: newTokens,
    ...(goOn ? { min_new_tokens: newTokens } : {}),
    do_sample: false,
    return_full_text: false,
    streamer,
    stopping_criteria: stopper,
  } as object;
  if (chat) await generator([{ role: 'user', content: prompt }], options);
  else await generator(prompt, options);
  result.prefill = (result.times[0] ?? performance.now()) - start;
  return result;
}

/** Tokens per second of the decode steps after step `from` up to step `to` (or the last); null if there are none. */
export function decodeSpeed({ times }: Generation, from = 0, to = times.length - 1): number | null {
  const end = Math.min(to, times.length - 1);
  if (end <= from) return null;
  return ((end - from) * 1000) / (times[end]! - times[from]!);
}

/** Number of tokens (and of characters) that two generations have in common at their beginning. */
export function commonStart(a: Generation, b: Generation): { tokens: number; characters: number } {
  const equal = (x: ArrayLike<unknown>, y: ArrayLike<unknown>) => {
    let i = 0;
    while (i < x.length && i < y.length && x[i] === y[i]) i++;
    return i;
  };
  return { tokens: equal(a.tokens, b.tokens), characters: equal(a.text, b.text) };
}
