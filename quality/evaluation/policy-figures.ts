// The figures of policies on one sequence or conversation, each step held against exact attention.
import type { Decoder, Outputs } from '../../lab/decoding/decoder.ts';
import { decodeForced } from '../../lab/decoding/forced.ts';
import { divergence, lastLogits, mostLikely } from '../../lab/decoding/logits.ts';
import { Sequence } from '../../lab/decoding/sequence.ts';
import { enableSift, type SiftReport } from '../../src/index.ts';
import type { NamedPolicy } from '../plan/policy-syntax.ts';
import type { Hits, Item } from '../tasks/index.ts';
import { type SequenceFigures, siftFigures } from './figures.ts';

export interface ForcedOptions {
  /** Tokens of the prompt, and decode steps after it. */
  prompt: number;
  steps: number;
  /** Steps at the beginning that do not count: as many as the longest warm-up of the policies has. */
  warmup: number;
  /** Parts of the steps that count, after each of which the plugin's report is looked at; 4 unless it says otherwise. */
  parts?: number;
  /** The runtime's device, where the plugin cannot find it. */
  device?: GPUDevice;
  progress?: (message: string) => void;
  /** What the prompt put out, if it has run; it stays the caller's. */
  past?: Outputs;
}

/** Says how far a sequence is, every few seconds. */
export function reporter(steps: number, progress: ForcedOptions['progress']): (step: number) => void {
  let said = performance.now();
  return (step) => {
    if (!progress || performance.now() - said < 5000) return;
    said = performance.now();
    progress(`step ${step} of ${steps}`);
  };
}

/**
 * Decodes a conversation of the tasks, and says for each answer which of its tokens were the most likely ones.
 * @param begun what the first prompt put out, if it has run; it stays the caller's.
 */
export async function converse(
  decoder: Decoder,
  { turns }: Item,
  progress?: ForcedOptions['progress'],
  begun?: Outputs,
): Promise<Hits> {
  const hits: Hits = [];
  const sequence = new Sequence(decoder, begun, begun ? turns[0]!.prompt.length : 0);
  for (const [turn, { prompt, decode: steps, answers }] of turns.entries()) {
    const report = reporter(steps.length, progress);
    if (turn > 0 || !begun) await sequence.feed(prompt);
    const right = new Map<number, boolean>();
    for (const [i, token] of steps.entries()) {
      if (answers.some(([from, to]) => from <= i && i < to))
        right.set(i, mostLikely(lastLogits(sequence.outputs)) === token);
      await sequence.feed([token]);
      report(i + 1);
    }
    for (const [from, to] of answers)
      hits.push(Array.from({ length: to - from }, (_, i) => right.get(from + i)!));
  }
  sequence.dispose();
  return hits;
}

/** Decodes a sequence with the stock runtime. The policies are held against its log-probabilities. */
export async function exactRows(
  decoder: Decoder,
  tokens: readonly number[],
  { prompt, steps, warmup, progress, past }: ForcedOptions,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  const report = reporter(steps, progress);
  const visit = (step: number, row: Float32Array) => {
    report(step);
    if (step > warmup) rows.push(row);
  };
  await decodeForced(decoder, { tokens, prompt, steps, past }, visit);
  return rows;
}

/** The figures of exact attention itself, from which KL is 0. */
export function exactFigures(
  exact: readonly Float32Array[],
  tokens: readonly number[],
  options: ForcedOptions,
): SequenceFigures {
  const { prompt, warmup } = options;
  return {
    nll: exact.map((row, i) => -row[tokens[prompt + warmup + i + 1]!]!),
    kl: exact.map(() => 0),
    same: exact.map(() => 1),
    sift: null,
  };
}

/** Figures of one policy on one sequence, through the real adapter. */
export async function policyFigures(
  decoder: Decoder,
  tokens: readonly number[],
  exact: readonly Float32Array[],
  { policy }: NamedPolicy,
  { prompt, steps, warmup, parts = 4, device, progress, past }: ForcedOptions,
): Promise<SequenceFigures> {
  const sift = await enableSift(decoder.model, { policy, siftFrom: 0, ...(device ? { device } : {}) });
  const figures: SequenceFigures = { nll: [], kl: [], same: [], sift: null };
  const reports: SiftReport[] = [];
  const part = Math.max(1, Math.floor((steps - warmup) / parts));
  const report = reporter(steps, progress);
  try {
    const visit = async (step: number, row: Float32Array) => {
      report(step);
      if (step >= warmup && (step - warmup) % part === 0 && reports.length <= parts)
        reports.push(await sift.report());
      if (step <= warmup) return;
      const { kl, same } = divergence(exact[step - warmup - 1]!, row);
      figures.nll.push(-row[tokens[prompt + step]!]!);
      figures.kl.push(kl);
      figures.same.push(Number(same));
    };
    await decodeForced(decoder, { tokens, prompt, steps, past }, visit);
    figures.sift = siftFigures(await sift.report(), reports);
  } finally {
    sift.dispose();
  }
  return figures;
}
