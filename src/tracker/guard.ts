import type { ThresholdPolicy } from './policy.ts';
import type { PowerLawFit } from './powerlaw.ts';

/** The constants of the guard, in one place: the kernel uses the same. */
export const GUARD = {
  /** Weight of the past in the exponential moving average of the kept fraction. */
  decay: 0.9,
  /** The average may lie within [target / tolerance, min(1, target * tolerance)]. */
  tolerance: 4,
  /** The average is judged from the observation after this many that follow a fit. */
  graceSteps: 16,
} as const;

/** Why a head is dense though its warm-up is over. */
export type GuardReason = 'failed-fit' | 'rising-threshold' | 'kept-fraction';

/**
 * What is wrong with a fit: it failed, or its threshold rises with x (beta > 0), as it would drop more and more.
 *
 * @returns the reason, or undefined if the fit may be used
 */
export function judgeFit(fit: PowerLawFit): GuardReason | undefined {
  if (!fit.ok) return 'failed-fit';
  return fit.beta > 0 ? 'rising-threshold' : undefined;
}

/** The share of rows a head should keep: 1 - tau for a quantile; undefined where the target does not say. */
export function targetFraction(policy: ThresholdPolicy): number | undefined {
  return policy.target.kind === 'quantile' ? 1 - policy.target.tau : undefined;
}

/** Moving average of the kept fraction since the last fit. Plain state, so that a kernel can hold the same. */
export interface KeptAverage {
  /** Decode steps observed since the fit. */
  readonly steps: number;
  /** The average; the first observation starts it. */
  readonly mean: number;
}

/** No observation yet. */
export const NO_KEPT: KeptAverage = { steps: 0, mean: NaN };

/** The average after one more step that kept `fraction` of the rows. */
export function updateKept(average: KeptAverage, fraction: number): KeptAverage {
  const { decay } = GUARD;
  const mean = average.steps === 0 ? fraction : decay * average.mean + (1 - decay) * fraction;
  return { steps: average.steps + 1, mean };
}

/**
 * Whether the average has left the band around the target, for a fit older than {@link GUARD.graceSteps}. An
 * average that is not a number is always outside.
 *
 * @param target - share of rows that should be kept, in (0, 1]
 */
export function isDrifting(average: KeptAverage, target: number): boolean {
  if (average.steps > 0 && Number.isNaN(average.mean)) return true;
  if (average.steps <= GUARD.graceSteps) return false;
  const least = target / GUARD.tolerance;
  const most = Math.min(1, target * GUARD.tolerance);
  return !(average.mean >= least && average.mean <= most);
}
