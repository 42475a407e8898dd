import { GUARD } from '../policy/index.ts';
import type { PowerLawFit } from './powerlaw.ts';

/** Why a head is dense though its warm-up is over. */
export type GuardReason = 'failed-fit' | 'rising-threshold' | 'kept-mass';

/**
 * What is wrong with a fit: it failed, or its threshold rises with x (beta > 0), as it would drop more and more.
 *
 * @returns the reason, or undefined if the fit may be used
 */
export function judgeFit(fit: PowerLawFit): GuardReason | undefined {
  if (!fit.ok) return 'failed-fit';
  return fit.beta > 0 ? 'rising-threshold' : undefined;
}

/**
 * Moving average of the kept mass since the last fit. Plain state, so that a kernel can hold the same.
 *
 * Not the kept fraction: a head that has found what it looks for keeps few rows and nearly all of its mass, and a guard on
 * the fraction made such heads dense (48% of the V rows read instead of 28%, small model, tau 0.875, at a higher KL).
 */
export interface MassAverage {
  /** Decode steps observed since the fit. */
  readonly steps: number;
  /** The average; the first observation starts it. */
  readonly mean: number;
}

/** No observation yet. */
export const NO_MASS: MassAverage = { steps: 0, mean: NaN };

/** The average after one more step whose rows held `mass` of the probability. */
export function updateMass(average: MassAverage, mass: number): MassAverage {
  const { decay } = GUARD;
  const mean = average.steps === 0 ? mass : decay * average.mean + (1 - decay) * mass;
  return { steps: average.steps + 1, mean };
}

/**
 * Whether a head has lost too much of its probability, for a fit older than {@link GUARD.graceSteps}. An average
 * that is not a number always counts as lost.
 */
export function isDrifting(average: MassAverage): boolean {
  if (average.steps > 0 && Number.isNaN(average.mean)) return true;
  return average.steps > GUARD.graceSteps && !(average.mean >= GUARD.leastMass);
}
