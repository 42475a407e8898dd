/**
 * What a threshold aims at. `quantile` and `mass` are learned per layer and query head during the warm-up;
 * `uniform` and `probability` are known beforehand.
 *
 * - `quantile`: the `tau`-quantile of the attention probabilities (paper, the SiftAttention threshold).
 * - `mass`: the largest threshold that drops at most `epsilon` of the probability mass.
 * - `uniform`: `p >= c / S` for S keys in the cache: c times the uniform probability.
 * - `probability`: `p >= p0`, one fixed probability for all heads and lengths.
 */
export type Target =
  | { readonly kind: 'quantile'; readonly tau: number }
  | { readonly kind: 'mass'; readonly epsilon: number }
  | { readonly kind: 'uniform'; readonly c: number }
  | { readonly kind: 'probability'; readonly p: number };

/**
 * The exponent beta of the power law theta(x) = alpha * x^beta.
 *
 * - `free`: least squares (paper).
 * - `fixed`: given; only the level alpha is learned.
 * - `prior`: least squares shrunk towards `beta`, a normal prior of variance `variance`.
 */
export type Exponent =
  | { readonly kind: 'free' }
  | { readonly kind: 'fixed'; readonly beta: number }
  | { readonly kind: 'prior'; readonly beta: number; readonly variance: number };

/** The abscissa of the power law: the decode step g (1, 2, ...) or the cache length S in keys. */
export type Axis = 'step' | 'length';

/**
 * What stands for the dropped mass in a head's output.
 *
 * - `none`: nothing (paper).
 * - `renormalise`: the output is divided by the mass that was kept.
 * - `mean`: the mean V row of the cache.
 * - `linear`: the mean V row and `LINEAR_GAIN` of Cov(v, k) q, how V rows change with their scores: the first-order
 *   expansion of the dropped rows' softmax in the query.
 *
 * Mean and covariance are taken from the cache at the first decode step and, unless `refitEvery` is 0, again every `refitEvery` steps
 * and whenever the cache has grown by a factor of `MOMENT_GROWTH`.
 */
export type Dropped = 'none' | 'renormalise' | 'mean' | 'linear';

/**
 * The log-normaliser that turns scores into probabilities when rows are chosen. The output's is exact in either case.
 *
 * - `exact`: over all keys, which takes two passes.
 * - `estimate`: from the first and the newest keys and a sample of those between (wgsl/sift/estimate.wgsl), in one pass. Where that cannot
 *   be done (no subgroups, groups of more than 8 query heads, a step that learns): exact.
 */
export type Normaliser = 'exact' | 'estimate';

/** The values of {@link Keys}. */
export const KEYS = ['exact', 'shadow'] as const;

/**
 * What the scores come from that decide which rows are read.
 *
 * - `exact`: all of K.
 * - `shadow`: a copy of K with 2 bits an element, made of the cache after the prompt. The exact K is read for the rows whose V is read, and
 *   for the edge keys. Where that cannot be done (where `normaliser` is `exact` in effect, or memory is short): exact.
 */
export type Keys = (typeof KEYS)[number];

/** How thresholds are found and what is done with the rows they keep. Plain data, frozen, the same for all heads. */
export interface ThresholdPolicy {
  /** Name for reports. */
  readonly name: string;
  readonly target: Target;
  readonly axis: Axis;
  readonly exponent: Exponent;
  /** Dense decode steps after the prompt; learned targets are observed during them (w in the paper). */
  readonly warmup: number;
  /** What stands for the probability mass of the rows that are not read. */
  readonly dropped: Dropped;
  /** What probabilities are judged with. */
  readonly normaliser: Normaliser;
  /** What the scores come from that decide which rows are read. */
  readonly keys: Keys;
  /** A V row that any query head of a KV group keeps serves all heads of the group. */
  readonly shareGroup: boolean;
  /** The row of the newest token is always kept. */
  readonly keepNewest: boolean;
  /** The row(s) with the maximum score are always kept. */
  readonly keepLargest: boolean;
  /** 0: one fit, and one look at V, per request. Otherwise anew every so many decode steps (see `planStep` and {@link Dropped}). */
  readonly refitEvery: number;
  /** A non-finite fit, beta > 0 or the loss of half of the probability makes the head dense until its next fit. */
  readonly guard: boolean;
}

/** The same policy, but for the shadow. */
export function withExactKeys(policy: ThresholdPolicy): ThresholdPolicy {
  return policy.keys === 'exact' ? policy : { ...policy, keys: 'exact' };
}

/** Whether the policy needs the mean and the covariance of V. */
export function usesMoments({ dropped }: Pick<ThresholdPolicy, 'dropped'>): boolean {
  return dropped === 'mean' || dropped === 'linear';
}

/** Whether the policy keeps every row whatever it observes: `tau`, `epsilon`, `c` or `p` is 0. */
export function isDense(policy: ThresholdPolicy): boolean {
  const { target } = policy;
  switch (target.kind) {
    case 'quantile':
      return target.tau === 0;
    case 'mass':
      return target.epsilon === 0;
    case 'uniform':
      return target.c === 0;
    case 'probability':
      return target.p === 0;
  }
}

/** Whether the target is learned from observations (`quantile`, `mass`), and so needs a warm-up and a fit. */
export function isLearned(policy: ThresholdPolicy): boolean {
  return policy.target.kind === 'quantile' || policy.target.kind === 'mass';
}

/** Points that a fit needs at the least: the parameters it estimates, and one more where it needs a residual. */
export const MIN_POINTS: { readonly [kind in Exponent['kind']]: number } = { free: 2, fixed: 1, prior: 3 };
