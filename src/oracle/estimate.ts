import { ESTIMATE_KEYS } from '../policy/index.ts';

/** Place `i` of `count` that are spread evenly over `length` (wgsl/lib/spread.wgsl). */
export function spread(i: number, count: number, length: number): number {
  return Math.floor(((2 * i + 1) * length) / (2 * count));
}

/**
 * The log-normaliser of a head's scores as the one-pass kernel estimates it (wgsl/sift/estimate.wgsl): log-sum-exp of the first and the
 * newest keys, and of the samples, each for all the keys it stands for; but the largest sample for itself alone.
 *
 * @param scores - the head's scores, natural logarithms; the first `length` count
 */
export function estimateLogNormaliser(scores: ArrayLike<number>, length: number): number {
  const { sink, newest, samples } = ESTIMATE_KEYS;
  const known = Math.min(sink + newest, length);
  const between = length - known;
  const count = Math.min(samples, between);
  const near = Array.from({ length: known }, (_, i) => scores[i < sink ? i : between + i]!);
  const far = Array.from({ length: count }, (_, i) => scores[sink + spread(i, count, between)]!);
  const top = [...near, ...far].reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = (list: number[]) => list.reduce((total, score) => total + Math.exp(score - top), 0);
  const largest = far.length > 0 ? Math.exp(Math.max(...far) - top) : 0;
  const weight = count > 0 ? between / count : 0;
  return top + Math.log(sum(near) + largest + weight * Math.max(0, sum(far) - largest));
}
