import { fromFloat16 } from '../../src/kernel/gpu/float16.ts';
import type { Outputs } from './decoder.ts';

/** A copy of the logits after the last token of a pass. */
export function lastLogits(outputs: Outputs): Float32Array {
  const { data, dims } = outputs.logits!.ort_tensor as unknown as {
    data: Float32Array | Uint16Array;
    dims: number[];
  };
  const last = data.slice(-dims.at(-1)!);
  // Where there is no Float16Array, the runtime hands out the bits of f16 logits.
  return last instanceof Uint16Array ? Float32Array.from(last, fromFloat16) : Float32Array.from(last);
}

/** Natural log-probabilities of logits, in place. */
export function logSoftmax(row: Float32Array): Float32Array {
  let top = Number.NEGATIVE_INFINITY;
  for (const value of row) top = Math.max(top, value);
  let sum = 0;
  for (const value of row) sum += Math.exp(value - top);
  const shift = top + Math.log(sum);
  for (let i = 0; i < row.length; i++) row[i] = row[i]! - shift;
  return row;
}

/** Index of the largest value: the most likely token. */
export function mostLikely(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}

/** KL(exact || other) of log-probabilities in nats, and whether the most likely tokens agree. */
export function divergence(exact: Float32Array, other: Float32Array): { kl: number; same: boolean } {
  let kl = 0;
  for (let i = 0; i < exact.length; i++) kl += Math.exp(exact[i]!) * (exact[i]! - other[i]!);
  return { kl, same: mostLikely(exact) === mostLikely(other) };
}
