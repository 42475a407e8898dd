import { type Item, stretch, type TaskSource, type Turn } from './task.ts';
import { draws } from './words.ts';

const DIGITS = 64;
/** Tokens that are given again before the others must follow, and tokens of one answer. */
const CUE = 16;
const ANSWER = 4;

/**
 * Copying: a row of random digits somewhere in the prompt; when it begins again after the learning steps the rest must follow, four
 * tokens an answer.
 */
export function copy(source: TaskSource, length: number, items: number): Item[] {
  const prompt = Math.min(length, source.context - 2 * DIGITS) - source.learning;
  return Array.from({ length: items }, (_, i) => {
    const draw = draws(7000 + length + i);
    const start = draw(source.filler.length);
    const digits = source.encode(Array.from({ length: DIGITS }, () => draw(10)).join(''));
    const text = stretch(source.filler, start, prompt - digits.length);
    const at = Math.floor(((i + 0.5) / items) * text.length);
    const learning = stretch(source.filler, start + text.length, source.learning);
    const answers: Turn['answers'] = [];
    for (let from = CUE; from + ANSWER <= digits.length; from += ANSWER)
      answers.push([learning.length + from, learning.length + from + ANSWER]);
    return {
      turns: [
        {
          prompt: [...text.slice(0, at), ...digits, ...text.slice(at)],
          decode: [...learning, ...digits],
          answers,
        },
      ],
    };
  });
}
