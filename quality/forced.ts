// Forced decoding: a prompt is prefilled, the tokens that follow are fed one by one, and each step's distribution is held
// against exact attention. Teacher-forced prefill alone would never sift.

import type { HubPipeline, HubTensor } from '../src/adapters/transformers/runtime.ts';
import { enableSift, type SiftReport } from '../src/index.ts';
import { fromFloat16 } from '../src/kernel/gpu/float16.ts';
import { divergence, logSoftmax, mostLikely, type SequenceFigures, siftFigures } from './measure.ts';
import type { NamedPolicy } from './policy-syntax.ts';
import type { Hits, Item } from './tasks/index.ts';

/** What decodes: a session that looks like a transformers.js pipeline, or one. */
export interface ForcedDecoder {
  readonly pipeline: HubPipeline | object;
  /** Input tensors of some tokens in a sequence of `total`. */
  inputs(tokens: readonly number[], total: number): Record<string, HubTensor>;
  forward(inputs: Record<string, unknown>): Promise<Record<string, HubTensor>>;
  /** The present tensors of a pass as the past of the next. */
  pastOf(outputs: Record<string, HubTensor>, length: number): Record<string, HubTensor>;
  /** Tokens that a prompt may have at once; longer ones run in parts. */
  chunk?: number;
}

/**
 * Runs a prompt.
 * @param past what the pass before it put out, which has `length` rows; it is freed, unless it is to be kept.
 */
export async function prefill(
  decoder: ForcedDecoder,
  prompt: readonly number[],
  length = 0,
  past?: Record<string, HubTensor>,
  keep = false,
): Promise<Record<string, HubTensor>> {
  const size = Math.min(prompt.length, decoder.chunk ?? prompt.length);
  let outputs = past;
  for (let at = 0; at < prompt.length; at += size) {
    const before = outputs;
    const part = prompt.slice(at, at + size);
    outputs = await decoder.forward({
      ...decoder.inputs(part, length + at + part.length),
      ...(before ? { past_key_values: decoder.pastOf(before, length + at) } : {}),
    });
    if (before && !(keep && before === past)) free(before);
  }
  return outputs!;
}

export interface ForcedOptions {
  /** Tokens of the prompt, and decode steps after it. */
  prompt: number;
  steps: number;
  /** Steps that do not count: the longest warm-up of the policies. */
  warmup: number;
  /** The runtime's device, where the plugin cannot find it. */
  device?: GPUDevice;
  progress?: (message: string) => void;
  /** What the prompt put out, if it has run; it stays the caller's. */
  past?: Record<string, HubTensor>;
}

/** Log-probabilities after the last token of a pass. */
export function lastRow(outputs: Record<string, HubTensor>): Float32Array {
  const { data, dims } = outputs.logits!.ort_tensor as unknown as {
    data: Float32Array | Uint16Array;
    dims: number[];
  };
  const last = data.slice(-dims.at(-1)!);
  // Where there is no Float16Array, the runtime hands out the bits of f16 logits.
  return logSoftmax(
    last instanceof Uint16Array ? Float32Array.from(last, fromFloat16) : Float32Array.from(last),
  );
}

/** Frees the tensors of a pass that lie on the GPU. */
export function free(outputs: Record<string, HubTensor>): void {
  for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
}

/** Says how far a sequence is, every few seconds. */
function reporter(steps: number, progress: ForcedOptions['progress']): (step: number) => void {
  let said = performance.now();
  return (step) => {
    if (!progress || performance.now() - said < 5000) return;
    said = performance.now();
    progress(`step ${step} of ${steps}`);
  };
}

/**
 * One sequence: `visit` gets the log-probabilities after every step, from 1 on.
 * @param past what the prompt put out, if it has run; it stays the caller's.
 */
export async function decode(
  decoder: ForcedDecoder,
  tokens: readonly number[],
  prompt: number,
  steps: number,
  visit: (step: number, logProbabilities: Float32Array) => void | Promise<void>,
  past?: Record<string, HubTensor>,
): Promise<void> {
  let outputs = past ?? (await prefill(decoder, tokens.slice(0, prompt)));
  for (let step = 1; step <= steps; step++) {
    const before = outputs;
    outputs = await decoder.forward({
      ...decoder.inputs([tokens[prompt + step - 1]!], prompt + step),
      past_key_values: decoder.pastOf(before, prompt + step - 1),
    });
    if (before !== past) free(before);
    await visit(step, lastRow(outputs));
  }
  if (outputs !== past) free(outputs);
}

/**
 * A conversation of the tasks; for each answer, which of its tokens were the most likely ones.
 * @param begun what the first prompt put out, if it has run; it stays the caller's.
 */
export async function converse(
  decoder: ForcedDecoder,
  { turns }: Item,
  progress?: ForcedOptions['progress'],
  begun?: Record<string, HubTensor>,
): Promise<Hits> {
  const hits: Hits = [];
  let outputs = begun;
  let length = begun ? turns[0]!.prompt.length : 0;
  const pass = async (tokens: readonly number[]): Promise<void> => {
    outputs = await prefill(decoder, tokens, length, outputs, outputs === begun);
    length += tokens.length;
  };
  for (const [turn, { prompt, decode: steps, answers }] of turns.entries()) {
    const report = reporter(steps.length, progress);
    if (turn > 0 || !begun) await pass(prompt);
    const right = new Map<number, boolean>();
    for (const [i, token] of steps.entries()) {
      if (answers.some(([from, to]) => from <= i && i < to))
        right.set(i, mostLikely(lastRow(outputs!)) === token);
      await pass([token]);
      report(i + 1);
    }
    for (const [from, to] of answers)
      hits.push(Array.from({ length: to - from }, (_, i) => right.get(from + i)!));
  }
  if (outputs && outputs !== begun) free(outputs);
  return hits;
}

/** The stock runtime on one sequence: what the policies are held against. */
export async function exactRows(
  decoder: ForcedDecoder,
  tokens: readonly number[],
  { prompt, steps, warmup, progress, past }: ForcedOptions,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  const report = reporter(steps, progress);
  const visit = (step: number, row: Float32Array) => {
    report(step);
    if (step > warmup) rows.push(row);
  };
  await decode(decoder, tokens, prompt, steps, visit, past);
  return rows;
}

/** Figures of exact attention itself. */
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
  decoder: ForcedDecoder,
  tokens: readonly number[],
  exact: readonly Float32Array[],
  { policy }: NamedPolicy,
  { prompt, steps, warmup, device, progress, past }: ForcedOptions,
): Promise<SequenceFigures> {
  const sift = await enableSift(decoder.pipeline, { policy, siftFrom: 0, ...(device ? { device } : {}) });
  const figures: SequenceFigures = { nll: [], kl: [], same: [], sift: null };
  const reports: SiftReport[] = [];
  const quarter = Math.floor((steps - warmup) / 4);
  const report = reporter(steps, progress);
  try {
    const visit = async (step: number, row: Float32Array) => {
      report(step);
      if (step >= warmup && (step - warmup) % quarter === 0 && reports.length < 5)
        reports.push(await sift.report());
      if (step <= warmup) return;
      const { kl, same } = divergence(exact[step - warmup - 1]!, row);
      figures.nll.push(-row[tokens[prompt + step]!]!);
      figures.kl.push(kl);
      figures.same.push(Number(same));
    };
    await decode(decoder, tokens, prompt, steps, visit, past);
    figures.sift = siftFigures(await sift.report(), reports);
  } finally {
    sift.dispose();
  }
  return figures;
}
