import { invalidOption } from '../errors.ts';
import { type Exponent, MIN_POINTS } from '../policy/index.ts';

/**
 * Natural log of the smallest normal f32 (2^-126), about -87.34: stands for the logarithm of a probability that
 * f32 rounds or flushes to 0.
 */
export const LOG_FLOOR = -126 * Math.LN2;

/** Natural log of a probability, with {@link LOG_FLOOR} as the least value; NaN stays NaN. */
export function clampedLog(p: number): number {
  return Math.max(Math.log(p), LOG_FLOOR);
}

/**
 * Makes a log-threshold fit for a fit: -Infinity, which comes from log(0), becomes {@link LOG_FLOOR}. Finite
 * values pass as they are, below the floor too: a log-probability does not underflow.
 */
export function clampLogThreshold(logThreshold: number): number {
  return logThreshold === -Infinity ? LOG_FLOOR : logThreshold;
}

/** Why a fit has no line. */
export type FitFailure = 'too-few-points' | 'identical-x' | 'non-finite';

/** The power law theta(x) = alpha * x^beta fitted in the log domain; see {@link fitPowerLaw}. */
export interface PowerLawFit {
  /** False if there is no line: then `reason` says why, and the numbers are NaN. */
  readonly ok: boolean;
  readonly reason?: FitFailure;
  /** log alpha: the log-threshold at x = 1. Use this one: alpha itself may under- or overflow. */
  readonly logAlpha: number;
  /** exp(logAlpha), for reports. */
  readonly alpha: number;
  readonly beta: number;
  /**
   * 1 - SSR / Syy on the log scale: 1 is a perfect line, 0 no better than the mean; negative if a fixed or prior
   * exponent is worse than the mean. For constant theta: 1 if the line is constant too, else 0.
   */
  readonly r2: number;
  /** SSR / degrees of freedom (n - 2; n - 1 for a fixed exponent; at least 1), in squared nats. */
  readonly residualVariance: number;
  /** Points fitted, n. */
  readonly points: number;
}

function failed(reason: FitFailure, points: number): PowerLawFit {
  return { ok: false, reason, logAlpha: NaN, alpha: NaN, beta: NaN, r2: NaN, residualVariance: NaN, points };
}

function isConstant(values: readonly number[]): boolean {
  return values.every((value) => value === values[0]);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Sum of squared residuals of y - ybar = beta (x - xbar): the line through the means. */
function residualSum(dx: readonly number[], dy: readonly number[], beta: number): number {
  return dx.reduce((sum, x, i) => sum + (dy[i]! - beta * x) ** 2, 0);
}

/** The prior-weighted exponent, with both sides of the formula multiplied by s2 * v0 so that s2 = 0 is no case. */
function shrink(sxx: number, sxy: number, s2: number, mean0: number, variance0: number): number {
  return (sxy * variance0 + mean0 * s2) / (sxx * variance0 + s2);
}

/**
 * Fits log theta = log alpha + beta * log x by least squares, centred and in two passes. Everything is in the log
 * domain, so tiny probabilities do not underflow.
 *
 * - `free`: beta = Sxy / Sxx (source: arXiv 2506.05300, the power-law fit at the end of the warm-up).
 * - `fixed`: beta as given; only the level is estimated. One point, or equal x, are enough.
 * - `prior`: beta = (Sxy/s2 + b0/v0) / (Sxx/s2 + 1/v0), the posterior mean for a normal prior of mean b0 and
 *   variance v0, with s2 the residual variance of the free fit (n - 2 degrees of freedom).
 *
 * In all three log alpha = ybar - beta * xbar.
 *
 * @param x - abscissae (decode steps or cache lengths), > 0
 * @param logTheta - natural logs of the thresholds observed there, as many
 * @returns the fit; `ok: false` for too few points (free 2, fixed 1, prior 3), equal x where beta is estimated,
 *   or anything that is not finite
 * @throws SiftError INVALID_OPTION if the lengths differ
 */
export function fitPowerLaw(
  x: ArrayLike<number>,
  logTheta: ArrayLike<number>,
  exponent: Exponent = { kind: 'free' },
): PowerLawFit {
  const n = x.length;
  if (logTheta.length !== n) throw invalidOption('logTheta', logTheta, `${n} values, as many as x`);
  if (n < MIN_POINTS[exponent.kind]) return failed('too-few-points', n);
  const lx = Array.from(x, Math.log);
  const y = Array.from(logTheta);
  if (!lx.every(Number.isFinite) || !y.every(Number.isFinite)) return failed('non-finite', n);
  if (exponent.kind !== 'fixed' && isConstant(lx)) return failed('identical-x', n);

  const xbar = mean(lx);
  const ybar = isConstant(y) ? y[0]! : mean(y);
  const dx = lx.map((value) => value - xbar);
  const dy = y.map((value) => value - ybar);
  let beta: number;
  if (exponent.kind === 'fixed') beta = exponent.beta;
  else {
    const sxx = dx.reduce((sum, d) => sum + d * d, 0);
    const sxy = dx.reduce((sum, d, i) => sum + d * dy[i]!, 0);
    beta = sxy / sxx;
    if (exponent.kind === 'prior') {
      const s2 = residualSum(dx, dy, beta) / (n - 2);
      beta = shrink(sxx, sxy, s2, exponent.beta, exponent.variance);
    }
  }
  const logAlpha = ybar - beta * xbar;
  if (!Number.isFinite(logAlpha) || !Number.isFinite(beta)) return failed('non-finite', n);

  const ssr = residualSum(dx, dy, beta);
  const syy = residualSum(dx, dy, 0);
  const r2 = syy > 0 ? 1 - ssr / syy : ssr === 0 ? 1 : 0;
  const residualVariance = ssr / Math.max(1, n - (exponent.kind === 'fixed' ? 1 : 2));
  return { ok: true, logAlpha, alpha: Math.exp(logAlpha), beta, r2, residualVariance, points: n };
}

/**
 * log eta = log alpha + beta * log x, the log-threshold of the power law at x.
 *
 * @returns natural log; NaN for a fit that is not `ok`
 */
export function evaluatePowerLaw(fit: PowerLawFit, x: number): number {
  return fit.logAlpha + fit.beta * Math.log(x);
}
