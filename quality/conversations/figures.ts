// What is kept of a conversation under a policy, and how it is summed up.
import { mean, quantile } from '../../lab/statistics.ts';
import type { SequenceFigures } from '../evaluation/figures.ts';
import type { Conversation } from './adversarial.ts';
import type { ConversationRow } from './results.ts';

/** What is asked of a preset: no more steps in a row than this, farther than so many times its usual mean. */
export const LIMIT = { factor: 10, steps: 16 } as const;

/** Parts of the steps that the course of KL is given for. */
const PARTS = 16;

/** The longest run of values above a bound: how many, and the index of its first. */
export function longestRun(values: readonly number[], bound: number): { length: number; at: number } {
  let best = { length: 0, at: 0 };
  let length = 0;
  for (const [i, value] of values.entries()) {
    length = value > bound ? length + 1 : 0;
    if (length > best.length) best = { length, at: i - length + 1 };
  }
  return best;
}

/**
 * A row of the results.
 * @param skipped steps at the beginning that learn, and so keep every row
 * @param usual the policy's mean KL on ordinary text, if it was measured
 */
export function conversationRow(
  { name, prompt, steps, breakAt }: Pick<Conversation, 'name' | 'prompt' | 'steps' | 'breakAt'>,
  policy: string,
  { nll, kl: all, same, sift }: SequenceFigures,
  skipped: number,
  usual: number | null,
): ConversationRow {
  const kl = all.slice(skipped);
  const part = Math.ceil(kl.length / PARTS);
  const parts = Array.from({ length: Math.ceil(kl.length / part) }, (_, i) =>
    kl.slice(i * part, (i + 1) * part),
  );
  const run = usual === null ? null : longestRun(kl, LIMIT.factor * usual);
  return {
    conversation: name,
    policy,
    prompt,
    steps,
    breakAt,
    skipped,
    ppl: Math.exp(mean(nll)),
    klMean: mean(kl),
    kl99: quantile(kl, 0.99),
    klMax: Math.max(...kl),
    top1: mean(same.slice(skipped)),
    usual,
    run: run && { length: run.length, step: run.length > 0 ? skipped + run.at + 1 : null },
    above: usual === null ? null : mean(kl.map((value) => Number(value > LIMIT.factor * usual))),
    course: parts.map(mean),
    keptHead: sift?.keptHead ?? null,
    keptGroup: sift?.keptGroup ?? null,
    keptMass: sift?.keptMass ?? null,
    leastMass: sift?.leastMass ?? null,
    status: sift?.status ?? null,
    guarded: sift?.guarded ?? null,
  };
}
