import { invalidOption } from '../errors.ts';
import { isDense, isLearned, MIN_POINTS, type ThresholdPolicy } from '../policy/index.ts';
import { type GuardReason, isDrifting, judgeFit, type MassAverage, NO_MASS, updateMass } from './guard.ts';
import type { PowerLawFit } from './powerlaw.ts';
import { clampedLog, clampLogThreshold, evaluatePowerLaw, fitPowerLaw } from './powerlaw.ts';
import { massThreshold, quantile } from './quantile.ts';

function checkPosition(step: number, length: number): void {
  if (!Number.isInteger(step) || step < 1) throw invalidOption('step', step, 'an integer >= 1');
  if (!Number.isInteger(length) || length < 1) throw invalidOption('length', length, 'an integer >= 1');
}

/**
 * The threshold of one query head of one layer over the decode steps of one request.
 *
 * With w = `policy.warmup` and m = `policy.refitEvery`: steps 1..w are dense and observed; the power law is
 * fitted with the observation of step w and holds from step w + 1. If m > 0 it is fitted again at w + m,
 * w + 2m, ... to the observations of the min(w, m) steps before, while the old threshold stays in use: the
 * scores of a step are exact whether or not V is sifted, so its exact threshold can always be observed. A lost
 * observation does no harm: a fit waits until its step has come and it has enough points.
 *
 * Source: arXiv 2506.05300, warm-up and power-law threshold per layer and query head. Refits and guard are ours.
 */
export class ThresholdTracker {
  readonly policy: ThresholdPolicy;
  private readonly learns: boolean;
  private x: number[] = [];
  private logTheta: number[] = [];
  private due = 0;
  private windowStart = 0;
  private currentFit: PowerLawFit | undefined;
  private currentGuard: GuardReason | undefined;
  private mass: MassAverage = NO_MASS;

  /** @param policy - from a policy constructor or `validatePolicy` */
  constructor(policy: ThresholdPolicy) {
    this.policy = policy;
    this.learns = isLearned(policy) && !isDense(policy);
    this.reset();
  }

  /** Back to the state before the first decode step; for a new request or when the KV cache is reset. */
  reset(): void {
    this.x = [];
    this.logTheta = [];
    this.due = this.learns ? this.policy.warmup : Infinity;
    this.windowStart = this.learns ? 0 : Infinity;
    this.currentFit = undefined;
    this.currentGuard = undefined;
    this.mass = NO_MASS;
  }

  /** The fit in use, also one that failed; undefined before the first and for targets that are not learned. */
  get fit(): PowerLawFit | undefined {
    return this.currentFit;
  }

  /** Why the guard makes this head dense; undefined if it does not. A later fit clears it. */
  get guarded(): GuardReason | undefined {
    return this.currentGuard;
  }

  /** Moving average of the kept mass since the last fit; NaN before the first `observeMass`. */
  get keptMass(): number {
    return this.mass.mean;
  }

  /** Whether an observation of this decode step would be used. */
  wantsObservation(step: number): boolean {
    return step > this.windowStart;
  }

  /**
   * Records the exact threshold of one decode step, if one is wanted.
   *
   * @param step - decode step g, 1 for the first token after the prompt
   * @param length - keys in the cache at that step (S), the newest included
   * @param observed - either the S probabilities, of which the exact quantile or mass threshold is taken, or the
   *   natural log of that threshold
   * @returns whether it was used
   * @throws SiftError INVALID_OPTION for a bad step or length, or probabilities that are not S in number
   */
  observe(step: number, length: number, observed: number | ArrayLike<number>): boolean {
    checkPosition(step, length);
    if (!this.wantsObservation(step)) return false;
    const log = typeof observed === 'number' ? observed : this.exactLogThreshold(length, observed);
    this.x.push(this.abscissa(step, length));
    this.logTheta.push(clampLogThreshold(log));
    if (step >= this.due && this.x.length >= MIN_POINTS[this.policy.exponent.kind]) this.refit(step);
    return true;
  }

  /**
   * The log-threshold of a decode step: keep row i iff log p_i >= it.
   *
   * @param step - decode step g >= 1
   * @param length - keys in the cache at that step (S)
   * @returns natural log; -Infinity keeps everything: in the warm-up, with a dense policy, when the guard says
   *   so, and when there is no fit to use (also without guard)
   * @throws SiftError INVALID_OPTION for a bad step or length
   */
  logThreshold(step: number, length: number): number {
    checkPosition(step, length);
    const { target, warmup } = this.policy;
    if (step <= warmup || isDense(this.policy)) return -Infinity;
    switch (target.kind) {
      case 'uniform':
        return Math.log(target.c / length);
      case 'probability':
        return Math.log(target.p);
      case 'quantile':
      case 'mass':
        return this.fittedLogThreshold(step, length);
      default:
        throw new Error(`no threshold for ${JSON.stringify(target satisfies never)}`);
    }
  }

  private fittedLogThreshold(step: number, length: number): number {
    if (!this.currentFit?.ok || this.currentGuard) return -Infinity;
    const log = evaluatePowerLaw(this.currentFit, this.abscissa(step, length));
    return Number.isFinite(log) ? log : -Infinity;
  }

  /**
   * Tells the guard how much probability the rows held that took part at one sifted step (with sharing: the union of
   * the group). Without a guard or a fit it only feeds {@link keptMass}; dense steps are not to be reported, and are
   * ignored while the head is guarded.
   *
   * @param mass - probability in [0, 1]; a value that is not a number trips the guard
   */
  observeMass(mass: number): void {
    if (this.currentGuard) return;
    this.mass = updateMass(this.mass, mass);
    if (this.policy.guard && this.currentFit && isDrifting(this.mass)) this.currentGuard = 'kept-mass';
  }

  private abscissa(step: number, length: number): number {
    return this.policy.axis === 'step' ? step : length;
  }

  private exactLogThreshold(length: number, p: ArrayLike<number>): number {
    if (p.length !== length) throw invalidOption('observed', p, `${length} probabilities, one per key`);
    const { target } = this.policy;
    if (target.kind === 'quantile') return clampedLog(quantile(p, target.tau));
    return clampedLog(massThreshold(p, target.kind === 'mass' ? target.epsilon : 0));
  }

  private refit(step: number): void {
    const { exponent, guard, refitEvery, warmup } = this.policy;
    this.currentFit = fitPowerLaw(this.x, this.logTheta, exponent);
    this.currentGuard = guard ? judgeFit(this.currentFit) : undefined;
    this.mass = NO_MASS;
    this.x = [];
    this.logTheta = [];
    if (refitEvery === 0) this.due = Infinity;
    else while (this.due <= step) this.due += refitEvery;
    this.windowStart = refitEvery === 0 ? Infinity : this.due - warmup;
  }
}
