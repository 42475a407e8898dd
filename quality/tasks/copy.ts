import { type Item, stretch, type TaskSource } from './task.ts';
import { ADJECTIVES, draws, NOUNS } from './words.ts';

const WORDS = 16;
/** Tokens of the passage that are given again before the rest must follow. */
const CUE = 8;

/** Copying: a passage of random words somewhere in the prompt; when it begins again after the learning steps, the rest must follow. */
export function copy(source: TaskSource, length: number, items: number): Item[] {
  const prompt = Math.min(length, source.context - 4 * WORDS) - source.learning;
  return Array.from({ length: items }, (_, i) => {
    const draw = draws(7000 + length + i);
    const start = draw(source.filler.length);
    const words = Array.from({ length: WORDS }, (_, k) =>
      k % 2 ? NOUNS[draw(NOUNS.length)] : ADJECTIVES[draw(ADJECTIVES.length)],
    );
    const passage = source.encode(` ${words.join(' ')}`);
    const text = stretch(source.filler, start, prompt - passage.length);
    const at = Math.floor(((i + 0.5) / items) * text.length);
    const learning = stretch(source.filler, start + text.length, source.learning);
    return {
      turns: [
        {
          prompt: [...text.slice(0, at), ...passage, ...text.slice(at)],
          decode: [...learning, ...passage],
          answers: [[learning.length + CUE, learning.length + passage.length]],
        },
      ],
    };
  });
}
