import { invalidOption } from '../errors.ts';
import { partition, selectF32, selectF64 } from './select.ts';

function hasNaN(values: ArrayLike<number>): boolean {
  for (let i = 0; i < values.length; i++) if (Number.isNaN(values[i])) return true;
  return false;
}

/**
 * Rank of the `tau`-quantile among S values in ascending order: floor(tau * (S - 1)), the 'lower' quantile.
 *
 * @param tau - in [0, 1]
 * @param size - S, an integer >= 1
 */
export function quantileIndex(tau: number, size: number): number {
  return Math.floor(tau * (size - 1));
}

/**
 * The exact `tau`-quantile: the value at rank floor(tau * (S - 1)) in ascending order, never interpolated, O(S).
 * Works for probabilities and log-probabilities alike, as the logarithm keeps the order.
 *
 * Source: arXiv 2506.05300, the exact quantile theta of a warm-up step.
 *
 * @param values - S values; a Float32Array goes through radix select, anything else through quickselect
 * @param tau - in [0, 1]; 0 is the minimum, 1 the maximum
 * @returns one of the values; NaN if any value is NaN
 * @throws SiftError INVALID_OPTION if `values` is empty or `tau` is outside [0, 1]
 */
export function quantile(values: ArrayLike<number>, tau: number): number {
  if (values.length === 0) throw invalidOption('values', values, 'at least one value');
  if (!(tau >= 0 && tau <= 1)) throw invalidOption('tau', tau, 'a number in [0, 1]');
  if (hasNaN(values)) return NaN;
  const k = quantileIndex(tau, values.length);
  return values instanceof Float32Array ? selectF32(values, k) : selectF64(values, k);
}

/**
 * The largest threshold t, among the given values, such that the rows strictly below t hold at most `epsilon` of
 * the total mass. Rows equal to t are kept, so with `p >= t` at most that share is dropped. It is found by a
 * partition that weighs its parts: O(S) expected, f64 sums. A sum within rounding of the limit may fall on either
 * side of it.
 *
 * @param p - S masses >= 0; they need not sum to 1
 * @param epsilon - share of the total mass that may be dropped, in [0, 1]; 0 drops rows of mass 0 only
 * @returns one of the values; NaN if any is NaN or the total is not positive and finite
 * @throws SiftError INVALID_OPTION if `p` is empty or has a negative value, or `epsilon` is outside [0, 1]
 */
export function massThreshold(p: ArrayLike<number>, epsilon: number): number {
  if (p.length === 0) throw invalidOption('p', p, 'at least one value');
  if (!(epsilon >= 0 && epsilon <= 1)) throw invalidOption('epsilon', epsilon, 'a number in [0, 1]');
  let total = 0;
  for (let i = 0; i < p.length; i++) {
    if (p[i]! < 0) throw invalidOption(`p[${i}]`, p[i], 'masses >= 0');
    total += p[i]!;
  }
  if (!(total > 0 && total < Infinity)) return NaN;

  const a = Float64Array.from(p);
  let low = 0;
  let high = a.length;
  let allowance = epsilon * total;
  for (;;) {
    const { pivot, from, to } = partition(a, low, high);
    let below = 0;
    for (let i = low; i < from; i++) below += a[i]!;
    const through = below + pivot * (to - from);
    if (below > allowance) high = from;
    else if (through > allowance || to === high) return pivot;
    else {
      allowance -= through;
      low = to;
    }
  }
}
