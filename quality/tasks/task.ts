// A task is a conversation of given tokens: prompts, and decode steps after each, some of whose tokens are answers. An answer counts
// when each of its tokens is the most likely one, given the right ones before it: exactly then greedy decoding would give it whole.
import type { TaskFigures } from '../report/results.ts';

/** One turn: a prompt, then forced decode steps. */
export interface Turn {
  /** Tokens that come at once, as a prompt. */
  prompt: number[];
  /** Tokens that are decoded one by one, the learning steps first. */
  decode: number[];
  /** Answers: the tokens [from, to) of `decode`; from 1 on, since the prompt's own output is not sifted. */
  answers: [from: number, to: number][];
}

/** One conversation. */
export interface Item {
  turns: Turn[];
}

/** Which tokens of each answer of an item were the most likely ones, turn by turn. */
export type Hits = boolean[][];

/** What tasks are made from. */
export interface TaskSource {
  /** Tokens of the text, without the end tokens of its documents. */
  filler: readonly number[];
  encode(text: string): number[];
  /** Decode steps before a question: those that learn thresholds. */
  learning: number;
  /** Longest context of the model. */
  context: number;
}

/** Exact and per-token scores of a policy against stock's on the same items. */
export function score(stock: readonly Hits[], policy: readonly Hits[]): TaskFigures {
  const [a, b] = [stock.flat(), policy.flat()];
  const exact = (hits: readonly boolean[]) => hits.every(Boolean);
  const share = (answers: readonly boolean[][]) => {
    const tokens = answers.flat();
    return tokens.filter(Boolean).length / tokens.length;
  };
  return {
    asked: a.length,
    stock: a.filter(exact).length,
    exact: b.filter(exact).length,
    agree: a.filter((hits, i) => exact(hits) === exact(b[i]!)).length,
    tokensStock: share(a),
    tokens: share(b),
  };
}

/** A stretch of the filler, around its end. */
export function stretch(filler: readonly number[], start: number, length: number): number[] {
  return Array.from({ length }, (_, i) => filler[(start + i) % filler.length]!);
}

/** Tokens of an answer that follows a text, and of the text, so that together they are the tokens of both. */
export function questionAndAnswer(
  encode: (text: string) => number[],
  question: string,
  answer: string,
): { question: number[]; answer: number[] } {
  const whole = encode(question + answer);
  const alone = encode(question);
  let common = 0;
  while (common < alone.length && whole[common] === alone[common]) common++;
  return { question: whole.slice(0, common), answer: whole.slice(common) };
}
