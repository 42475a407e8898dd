import { describe, expect, it } from 'vitest';
import { createRandom } from '../oracle/index.ts';
import {
  clampedLog,
  clampLogThreshold,
  evaluatePowerLaw,
  fitPowerLaw,
  LOG_FLOOR,
  type PowerLawFit,
} from './powerlaw.ts';

const steps = (n: number, first = 1) => Array.from({ length: n }, (_, i) => first + i);

/** The uncentred normal equations, another route to the same line. */
function normalEquations(x: number[], y: number[]) {
  const lx = x.map(Math.log);
  const n = x.length;
  const sum = (values: number[]) => values.reduce((a, c) => a + c, 0);
  const [sx, sy] = [sum(lx), sum(y)];
  const sxx = sum(lx.map((v) => v * v));
  const sxy = sum(lx.map((v, i) => v * y[i]!));
  const beta = (n * sxy - sx * sy) / (n * sxx - sx * sx);
  const logAlpha = (sy - beta * sx) / n;
  const ssr = sum(y.map((v, i) => (v - logAlpha - beta * lx[i]!) ** 2));
  return { beta, logAlpha, s2: ssr / (n - 2), sxx: sxx - (sx * sx) / n, sxy: sxy - (sx * sy) / n };
}

describe('fitPowerLaw, free exponent', () => {
  it('gives the hand-computed line', () => {
    // log x = 0, 1, 2 and y = 1, 0, -4: beta = -5/2, ybar = -1, log alpha = 3/2; residuals -1/2, 1, -1/2.
    const fit = fitPowerLaw([1, Math.E, Math.E ** 2], [1, 0, -4]);
    expect(fit.ok).toBe(true);
    expect(fit.beta).toBeCloseTo(-2.5, 12);
    expect(fit.logAlpha).toBeCloseTo(1.5, 12);
    expect(fit.alpha).toBeCloseTo(Math.exp(1.5), 12);
    expect(fit.residualVariance).toBeCloseTo(1.5, 12);
    expect(fit.r2).toBeCloseTo(1 - 1.5 / 14, 12);
    expect(evaluatePowerLaw(fit, Math.E ** 3)).toBeCloseTo(-6, 12);
    expect(fit.points).toBe(3);
  });

  it('recovers an exact power law, also where the probabilities underflow f64', () => {
    for (const [logAlpha, beta] of [
      [-5, -0.7],
      [-900, -1.3],
      [2, 0.4],
    ] as const) {
      const x = steps(64);
      const fit = fitPowerLaw(
        x,
        x.map((v) => logAlpha + beta * Math.log(v)),
      );
      expect(fit.beta).toBeCloseTo(beta, 10);
      expect(fit.logAlpha).toBeCloseTo(logAlpha, 8);
      expect(fit.r2).toBeCloseTo(1, 10);
    }
  });

  it.each([31, 32, 33])('agrees with the normal equations on noise, seed %i', (seed) => {
    const random = createRandom(seed);
    const x = steps(64);
    const y = x.map((v) => -8 - 0.5 * Math.log(v) + random.normal());
    const fit = fitPowerLaw(x, y);
    const expected = normalEquations(x, y);
    expect(fit.beta).toBeCloseTo(expected.beta, 10);
    expect(fit.logAlpha).toBeCloseTo(expected.logAlpha, 10);
    expect(fit.residualVariance).toBeCloseTo(expected.s2, 10);
  });

  it('stays exact on a short stretch of a long cache', () => {
    const x = steps(64, 100_000);
    const fit = fitPowerLaw(
      x,
      x.map((v) => -1 - Math.log(v)),
    );
    expect(fit.beta).toBeCloseTo(-1, 6);
    expect(evaluatePowerLaw(fit, 100_100)).toBeCloseTo(-1 - Math.log(100_100), 9);
  });
});

describe('fitPowerLaw, fixed exponent', () => {
  it('is the geometric mean of the level, as the study computes it', () => {
    const random = createRandom(41);
    const x = steps(64, 4097);
    const y = x.map(() => -9 + random.normal());
    const fit = fitPowerLaw(x, y, { kind: 'fixed', beta: -1 });
    const level = y.reduce((sum, v, i) => sum + v + Math.log(x[i]!), 0) / 64;
    expect(fit.logAlpha).toBeCloseTo(level, 10);
    expect(evaluatePowerLaw(fit, 6000)).toBeCloseTo(level - Math.log(6000), 10);
  });

  it('needs one point only, and does not mind equal x', () => {
    expect(fitPowerLaw([10], [-3], { kind: 'fixed', beta: -1 })).toMatchObject({
      ok: true,
      residualVariance: 0,
    });
    const two = fitPowerLaw([10, 10], [-3, -5], { kind: 'fixed', beta: -1 });
    expect(two.ok).toBe(true);
    expect(two.logAlpha).toBeCloseTo(-4 + Math.log(10), 12);
    expect(two.residualVariance).toBeCloseTo(2, 12);
  });

  it('reports a negative r2 when the mean would do better', () => {
    const fit = fitPowerLaw([1, Math.E], [0, 1], { kind: 'fixed', beta: -1 });
    expect(fit.r2).toBeCloseTo(-3, 12);
  });
});

describe('fitPowerLaw, prior-weighted exponent', () => {
  const random = createRandom(51);
  const x = steps(64);
  const y = x.map((v) => -6 - 0.2 * Math.log(v) + 0.5 * random.normal());
  const free = fitPowerLaw(x, y);
  const posterior = (beta: number, variance: number) => fitPowerLaw(x, y, { kind: 'prior', beta, variance });

  it('is the posterior mean', () => {
    const { s2, sxx, sxy } = normalEquations(x, y);
    const [b0, v0] = [-1, 0.04];
    expect(posterior(b0, v0).beta).toBeCloseTo((sxy / s2 + b0 / v0) / (sxx / s2 + 1 / v0), 10);
  });

  it('runs from the prior mean to the free fit as the prior widens', () => {
    expect(posterior(-1, 1e-12).beta).toBeCloseTo(-1, 6);
    expect(posterior(-1, 1e12).beta).toBeCloseTo(free.beta, 8);
    const betas = [1e-4, 1e-3, 1e-2, 1e-1].map((variance) => posterior(-1, variance).beta);
    for (let i = 1; i < betas.length; i++) expect(betas[i]).toBeGreaterThan(betas[i - 1]!);
  });

  it('passes through the means, and takes exact data at its word', () => {
    const mean = (values: number[]) => values.reduce((a, c) => a + c, 0) / values.length;
    const shrunk = posterior(-1, 0.01);
    expect(shrunk.logAlpha + shrunk.beta * mean(x.map(Math.log))).toBeCloseTo(mean(y), 10);
    const exact = x.map((v) => -2 - 0.5 * Math.log(v));
    expect(fitPowerLaw(x, exact, { kind: 'prior', beta: -1, variance: 0.01 }).beta).toBeCloseTo(-0.5, 8);
  });
});

describe('degenerate fits', () => {
  const check = (fit: PowerLawFit, reason: string) => {
    expect(fit).toMatchObject({ ok: false, reason });
    expect(evaluatePowerLaw(fit, 10)).toBeNaN();
  };

  it('are marked with the reason', () => {
    check(fitPowerLaw([], []), 'too-few-points');
    check(fitPowerLaw([1], [-1]), 'too-few-points');
    check(fitPowerLaw([1, 2], [-1, -2], { kind: 'prior', beta: -1, variance: 1 }), 'too-few-points');
    check(fitPowerLaw([], [], { kind: 'fixed', beta: -1 }), 'too-few-points');
    check(fitPowerLaw([7, 7, 7], [-1, -2, -3]), 'identical-x');
    check(fitPowerLaw([1, 2, 3], [-1, NaN, -3]), 'non-finite');
    check(fitPowerLaw([1, 2, 3], [-1, -Infinity, -3]), 'non-finite');
    check(fitPowerLaw([0, 2, 3], [-1, -2, -3]), 'non-finite');
    check(fitPowerLaw([-1], [-1], { kind: 'fixed', beta: -1 }), 'non-finite');
    check(fitPowerLaw([1, 2, 3], [1.7e308, 1.6e308, -1]), 'non-finite');
  });

  it('do not include a constant threshold', () => {
    const y = steps(64).map(() => -7.1);
    expect(fitPowerLaw(steps(64), y)).toMatchObject({ ok: true, logAlpha: -7.1, r2: 1, residualVariance: 0 });
    expect(fitPowerLaw(steps(64), y).beta).toBe(0);
    expect(fitPowerLaw(steps(64), y, { kind: 'fixed', beta: -1 }).r2).toBe(0);
  });

  it('refuse x and y of different lengths', () => {
    expect(() => fitPowerLaw([1, 2], [1])).toThrow(expect.objectContaining({ option: 'logTheta' }));
  });
});

describe('clamps', () => {
  it('put log(0) on the floor', () => {
    expect(LOG_FLOOR).toBeCloseTo(Math.log(2 ** -126), 12);
    expect(clampedLog(0)).toBe(LOG_FLOOR);
    expect(clampedLog(1e-300)).toBe(LOG_FLOOR);
    expect(clampedLog(1e-30)).toBe(Math.log(1e-30));
    expect(clampedLog(NaN)).toBeNaN();
  });

  it('leave finite log-thresholds alone', () => {
    expect(clampLogThreshold(-Infinity)).toBe(LOG_FLOOR);
    expect(clampLogThreshold(-500)).toBe(-500);
    expect(clampLogThreshold(NaN)).toBeNaN();
  });
});
