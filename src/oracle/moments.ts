import { MOMENT_ROWS } from '../policy/index.ts';
import { spread } from './estimate.ts';
import type { ResolvedInputs } from './inputs.ts';

/** What stands for the V rows of a KV head that are not read. */
export interface ValueMoments {
  /** Mean V row, [headSize]. */
  readonly mean: Float64Array;
  /** Cov(k, v), [headSize of k, headSize of v]. */
  readonly covariance: Float64Array;
}

/** The moments of one KV head of one sequence, from at most {@link MOMENT_ROWS} of its rows (wgsl/sift/moments.wgsl). */
export function valueMoments(x: ResolvedInputs, batch: number, kvHead: number): ValueMoments {
  const { headSize, capacity, kvHeads, k, v } = x;
  const length = x.lengths[batch]!;
  const rows = Math.min(length, MOMENT_ROWS);
  const kMean = new Float64Array(headSize);
  const mean = new Float64Array(headSize);
  const covariance = new Float64Array(headSize * headSize);
  const first = (batch * kvHeads + kvHead) * capacity;
  const places = Array.from({ length: rows }, (_, i) => (first + spread(i, rows, length)) * headSize);
  for (const at of places) {
    for (let d = 0; d < headSize; d++) {
      kMean[d]! += k[at + d]! / rows;
      mean[d]! += v[at + d]! / rows;
    }
  }
  for (const at of places) {
    for (let i = 0; i < headSize; i++) {
      const dk = (k[at + i]! - kMean[i]!) / rows;
      for (let d = 0; d < headSize; d++) covariance[i * headSize + d]! += dk * (v[at + d]! - mean[d]!);
    }
  }
  return { mean, covariance };
}

/**
 * Adds to a head's output what stands for its dropped mass: the mean V row and, if `gain` is not 0, that share of Cov(v, k) q, the
 * first-order term of the dropped rows' softmax.
 */
export function addDropped(
  x: ResolvedInputs,
  head: number,
  moments: ValueMoments,
  mass: number,
  gain: number,
  output: Float64Array,
): void {
  const { headSize, q, scale } = x;
  for (let d = 0; d < headSize; d++) {
    let row = moments.mean[d]!;
    for (let i = 0; gain !== 0 && i < headSize; i++) {
      row += gain * scale * q[head * headSize + i]! * moments.covariance[i * headSize + d]!;
    }
    output[head * headSize + d]! += mass * row;
  }
}
