import type { ThresholdPolicy } from './policy.ts';
import { validatePolicy } from './validate.ts';

/** Options of the policies that learn a quantile. */
export interface QuantileOptions {
  /** Share of the rows to drop, in [0, 1); 0 is dense. Default 0.875. */
  readonly tau?: number | undefined;
  /** Warm-up in decode steps. Default 64. */
  readonly warmup?: number | undefined;
}

/**
 * The paper's settings exactly: quantile target, decode-step axis, free exponent, one fit per request, output
 * not renormalised, no sharing in a group, no row always kept, no guard.
 *
 * Source: SiftAttention, arXiv 2506.05300, the power-law threshold with tau and warm-up w (w = 64 by default).
 *
 * @param options - `tau` in [0, 1), `warmup` an integer in 2..4096
 * @throws SiftError INVALID_OPTION
 */
export function paperPolicy(options: QuantileOptions = {}): ThresholdPolicy {
  const { tau = 0.875, warmup = 64 } = options;
  return validatePolicy({
    name: 'paper',
    target: { kind: 'quantile', tau },
    axis: 'step',
    exponent: { kind: 'free' },
    warmup,
    dropped: 'none',
    normaliser: 'exact',
    keys: 'exact',
    shareGroup: false,
    keepNewest: false,
    keepLargest: false,
    refitEvery: 0,
    guard: false,
  });
}

/** What the policies of this project do with the kept rows, unlike the paper's. */
const SAFE_ROWS = {
  dropped: 'renormalise',
  normaliser: 'exact',
  keys: 'exact',
  shareGroup: true,
  keepNewest: true,
  keepLargest: true,
  refitEvery: 0,
} as const;

/**
 * The quantile policy of this project: the threshold falls as 1/S (exponent fixed at -1 on the length axis), its
 * level comes from the warm-up; renormalised, shared in the group, newest and largest rows kept, guarded.
 *
 * @param options - `tau` in [0, 1), `warmup` an integer in 1..4096
 * @throws SiftError INVALID_OPTION
 */
export function learnedPolicy(options: QuantileOptions = {}): ThresholdPolicy {
  const { tau = 0.875, warmup = 64 } = options;
  return validatePolicy({
    name: 'learned',
    target: { kind: 'quantile', tau },
    axis: 'length',
    exponent: { kind: 'fixed', beta: -1 },
    warmup,
    ...SAFE_ROWS,
    // What the guard made dense is learned again.
    refitEvery: 512,
    guard: true,
  });
}

/**
 * Keep p >= c / S: nothing is learned, there is no warm-up. `axis` and `exponent` say the same as the formula. What is dropped is
 * made up for by its linear estimate, and probabilities are judged by an estimate of the normaliser: the settings that read the
 * fewest V rows at a given distance (docs/quality.md).
 *
 * @param options - `c` a finite number >= 0 in units of the uniform probability 1/S; 0 is dense
 * @throws SiftError INVALID_OPTION
 */
export function uniformPolicy(options: { readonly c: number }): ThresholdPolicy {
  return validatePolicy({
    name: 'uniform',
    target: { kind: 'uniform', c: options.c },
    axis: 'length',
    exponent: { kind: 'fixed', beta: -1 },
    warmup: 0,
    dropped: 'linear',
    normaliser: 'estimate',
    keys: 'exact',
    shareGroup: true,
    keepNewest: true,
    keepLargest: false,
    refitEvery: 512,
    guard: false,
  });
}

/**
 * Keep p >= p0, one probability for all heads and lengths: nothing is learned, there is no warm-up.
 *
 * @param options - `p` a probability in [0, 1); 0 is dense
 * @throws SiftError INVALID_OPTION
 */
export function probabilityPolicy(options: { readonly p: number }): ThresholdPolicy {
  return validatePolicy({
    name: 'probability',
    target: { kind: 'probability', p: options.p },
    axis: 'length',
    exponent: { kind: 'fixed', beta: 0 },
    warmup: 0,
    ...SAFE_ROWS,
    guard: false,
  });
}
