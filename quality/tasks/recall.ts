import { type Item, questionAndAnswer, stretch, type TaskSource, type Turn } from './task.ts';
import { draws, type Fact, facts } from './words.ts';

/** Depths of the planted codes: shares of the prompt. */
export const DEPTHS = [0.05, 0.16, 0.27, 0.38, 0.5, 0.61, 0.72, 0.83, 0.94] as const;

/** A filler of `length` tokens in all, with facts at some depths. */
export function plant(
  source: TaskSource,
  start: number,
  length: number,
  planted: readonly { fact: Fact; depth: number }[],
): number[] {
  const statements = planted
    .map(({ fact, depth }) => ({ tokens: source.encode(fact.statement), depth }))
    .sort((a, b) => a.depth - b.depth);
  const room = length - statements.reduce((sum, { tokens }) => sum + tokens.length, 0);
  if (room < 8 * statements.length)
    throw new Error(`${length} tokens are too few for ${planted.length} statements.`);
  const text = stretch(source.filler, start, room);
  const out: number[] = [];
  let from = 0;
  for (const { tokens, depth } of statements) {
    const at = Math.floor(depth * room);
    out.push(...text.slice(from, at), ...tokens);
    from = at;
  }
  out.push(...text.slice(from));
  return out;
}

/** The decode steps of a turn: text while thresholds are learned, then the questions, each with its right answer. */
export function ask(
  source: TaskSource,
  start: number,
  questions: readonly Fact[],
): Pick<Turn, 'decode' | 'answers'> {
  const decode = stretch(source.filler, start, source.learning);
  const answers: Turn['answers'] = [];
  for (const { question, answer } of questions) {
    const tokens = questionAndAnswer(source.encode, question, answer);
    decode.push(...tokens.question);
    answers.push([decode.length, decode.length + tokens.answer.length]);
    decode.push(...tokens.answer, ...source.encode('.'));
  }
  return { decode, answers };
}

/** Tokens that questions take at most. */
const QUESTION_TOKENS = 48;

/**
 * Recall of codes in a context of `length` tokens: one code at each of nine depths, or (`together` 8) eight at eight of the depths,
 * asked for one after the other, another depth left out in each item.
 */
export function recall(source: TaskSource, length: number, together: 1 | 8, items: number): Item[] {
  const total = Math.min(length, source.context - together * QUESTION_TOKENS);
  const prompt = total - source.learning;
  return Array.from({ length: items }, (_, i) => {
    const draw = draws(1000 * together + length + i);
    const start = draw(source.filler.length);
    const depths =
      together === 1
        ? [DEPTHS[i % DEPTHS.length]!]
        : DEPTHS.filter((_, d) => d !== (4 + 3 * i) % DEPTHS.length);
    const planted = facts(together, draw).map((fact, k) => ({ fact, depth: depths[k]! }));
    // Asked in another order than they were planted.
    const order = planted.map(({ fact }) => fact);
    for (let k = order.length - 1; k > 0; k--) {
      const other = draw(k + 1);
      [order[k], order[other]] = [order[other]!, order[k]!];
    }
    return {
      turns: [{ prompt: plant(source, start, prompt, planted), ...ask(source, start + total, order) }],
    };
  });
}
