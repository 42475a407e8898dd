import type { AttentionInputs, ResolvedInputs } from './inputs.ts';
import { resolveInputs } from './inputs.ts';

/** Scores and their softmax, each [batch, queryHeads, capacity]. */
export interface AttentionScores {
  /** scale * q·k in natural-log units; -Infinity at and beyond the length. */
  readonly scores: Float64Array;
  /** scores minus their log-sum-exp over all S keys: never underflows; -Infinity at and beyond the length. */
  readonly logProbabilities: Float64Array;
  /** exp of the log-probabilities; 0 at and beyond the length. */
  readonly probabilities: Float64Array;
}

/** Result of {@link denseAttention}. */
export interface DenseAttention {
  /** [batch, queryHeads, headSize]. */
  readonly output: Float64Array;
}

function rowScores(x: ResolvedInputs, b: number, h: number, scores: Float64Array): void {
  const { queryHeads, kvHeads, headSize, capacity, groupSize, scale, q, k } = x;
  const head = b * queryHeads + h;
  const qAt = head * headSize;
  const kAt = (b * kvHeads + Math.floor(h / groupSize)) * capacity * headSize;
  for (let i = 0; i < x.lengths[b]!; i++) {
    let dot = 0;
    for (let d = 0; d < headSize; d++) dot += q[qAt + d]! * k[kAt + i * headSize + d]!;
    scores[head * capacity + i] = dot * scale;
  }
}

/**
 * The exact scores and their softmax over all S keys, in f64, with the maximum subtracted.
 *
 * Source: arXiv 2506.05300, step 1 of a decode step: p = softmax(q·Kᵀ / √D), full denominator.
 *
 * @throws SiftError INVALID_OPTION when a shape does not fit
 */
export function attentionScores(inputs: AttentionInputs): AttentionScores {
  const x = resolveInputs(inputs);
  const { batch, queryHeads, capacity } = x;
  const scores = new Float64Array(batch * queryHeads * capacity).fill(-Infinity);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) rowScores(x, b, h, scores);
  }
  return softmaxOf(x, scores);
}

/**
 * The softmax of given scores.
 *
 * @param scores - [batch, queryHeads, capacity], natural logarithms; -Infinity at and beyond the length
 */
export function softmaxOf(x: ResolvedInputs, scores: Float64Array): AttentionScores {
  const { batch, queryHeads, capacity } = x;
  const logProbabilities = new Float64Array(scores.length).fill(-Infinity);
  const probabilities = new Float64Array(scores.length);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) {
      const at = (b * queryHeads + h) * capacity;
      const end = at + x.lengths[b]!;
      let max = -Infinity;
      for (let i = at; i < end; i++) max = Math.max(max, scores[i]!);
      let sum = 0;
      for (let i = at; i < end; i++) sum += Math.exp(scores[i]! - max);
      const logSum = max + Math.log(sum);
      for (let i = at; i < end; i++) {
        logProbabilities[i] = scores[i]! - logSum;
        probabilities[i] = Math.exp(logProbabilities[i]!);
      }
    }
  }
  return { scores, logProbabilities, probabilities };
}

/**
 * The share that a head's keys have of the softmax's sum, of which its attention sink has the rest: 1 without sinks. Probabilities are
 * among the keys alone, so that outputs are multiplied by it.
 *
 * @param head - of the batch: b * queryHeads + h
 */
export function keyShare(x: ResolvedInputs, attention: AttentionScores, head: number): number {
  const sink = x.sinks?.[head % x.queryHeads] ?? -Infinity;
  const at = head * x.capacity;
  const logSum = attention.scores[at]! - attention.logProbabilities[at]!;
  return 1 / (1 + Math.exp(sink - logSum));
}

/**
 * Adds the weighted V rows of one query head into `output`.
 *
 * @param weights - [batch, queryHeads, capacity]; rows of weight 0 are skipped
 * @param factor - factor of all weights of this head
 */
export function accumulateValues(
  x: ResolvedInputs,
  b: number,
  h: number,
  weights: Float64Array,
  factor: number,
  output: Float64Array,
): void {
  const { queryHeads, kvHeads, headSize, capacity, groupSize, v } = x;
  const head = b * queryHeads + h;
  const vAt = (b * kvHeads + Math.floor(h / groupSize)) * capacity * headSize;
  for (let i = 0; i < x.lengths[b]!; i++) {
    const weight = weights[head * capacity + i]! * factor;
    if (weight === 0) continue;
    for (let d = 0; d < headSize; d++) output[head * headSize + d]! += weight * v[vAt + i * headSize + d]!;
  }
}

/**
 * Dense decode attention in f64: softmax(scale * q·Kᵀ)·V for one query token per sequence, the sinks among the scores of the softmax.
 *
 * @param inputs - one decode step, see {@link AttentionInputs} for shapes
 * @param options - `details: true` adds the scores and the probabilities to the result
 * @throws SiftError INVALID_OPTION when a shape does not fit
 */
export function denseAttention(
  inputs: AttentionInputs,
  options: { details: true },
): DenseAttention & AttentionScores;
export function denseAttention(inputs: AttentionInputs, options?: { details?: false }): DenseAttention;
export function denseAttention(
  inputs: AttentionInputs,
  options: { details?: boolean } = {},
): DenseAttention & Partial<AttentionScores> {
  const x = resolveInputs(inputs);
  const details = attentionScores(x);
  const output = new Float64Array(x.batch * x.queryHeads * x.headSize);
  for (let b = 0; b < x.batch; b++) {
    for (let h = 0; h < x.queryHeads; h++) {
      accumulateValues(x, b, h, details.probabilities, keyShare(x, details, b * x.queryHeads + h), output);
    }
  }
  return options.details ? { output, ...details } : { output };
}
