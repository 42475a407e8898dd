import { ask, plant } from './recall.ts';
import type { Item, TaskSource, Turn } from './task.ts';
import { draws, facts } from './words.ts';

/** Share of the context that each turn's prompt adds. */
const SHARES = [0.6, 0.2, 0.2];

/**
 * A conversation of three turns on one cache, `length` tokens in all: each turn brings more text with two codes in it and asks for
 * one of them and, from the second turn on, for one of an earlier turn. Thresholds are learned anew in each turn.
 */
export function turns(source: TaskSource, length: number, items: number): Item[] {
  const question = 5 * 48;
  const total = Math.min(length, source.context) - 3 * source.learning - question;
  return Array.from({ length: items }, (_, i) => {
    const draw = draws(9000 + length + i);
    let start = draw(source.filler.length);
    const all = facts(2 * SHARES.length, draw);
    const list = SHARES.map((share, turn): Turn => {
      const [asked, kept] = all.slice(2 * turn, 2 * turn + 2) as [(typeof all)[0], (typeof all)[0]];
      const size = Math.floor(share * total);
      const prompt = plant(source, start, size, [
        { fact: asked, depth: 0.2 + 0.1 * draw(6) },
        { fact: kept, depth: 0.1 + 0.1 * draw(8) },
      ]);
      const earlier = turn === 0 ? [] : [all[2 * turn - 1]!];
      const decode = ask(source, start + size, [asked, ...earlier]);
      start += size + source.learning;
      return { prompt, ...decode };
    });
    return { turns: list };
  });
}
