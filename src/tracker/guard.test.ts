import { describe, expect, it } from 'vitest';
import { GUARD, isDrifting, judgeFit, NO_KEPT, targetFraction, updateKept } from './guard.ts';
import { defaultPolicy, paperPolicy, uniformPolicy } from './policy.ts';
import { fitPowerLaw } from './powerlaw.ts';

const average = (fractions: number[]) => fractions.reduce(updateKept, NO_KEPT);
const constant = (fraction: number, steps: number) => average(Array(steps).fill(fraction));

describe('kept-fraction average', () => {
  it('decays by 0.9 from the first value', () => {
    expect(average([0.5]).mean).toBe(0.5);
    expect(average([0.5, 0.1]).mean).toBeCloseTo(0.46, 12);
    expect(average([0.5, 0.1, 0.1]).mean).toBeCloseTo(0.424, 12);
    expect(average([0.5, 0.1, 0.1]).steps).toBe(3);
  });

  it('is judged after the grace steps only', () => {
    expect(GUARD.graceSteps).toBe(16);
    expect(isDrifting(constant(0.9, 16), 0.125)).toBe(false);
    expect(isDrifting(constant(0.9, 17), 0.125)).toBe(true);
  });

  it('may lie within a factor 4 of the target', () => {
    const drifts = (fraction: number, target: number) => isDrifting(constant(fraction, 40), target);
    expect([0.03, 0.0313, 0.125, 0.4999, 0.51].map((f) => drifts(f, 0.125))).toEqual([
      true,
      false,
      false,
      false,
      true,
    ]);
    expect(drifts(1, 0.5)).toBe(false);
    expect(drifts(1.01, 0.5)).toBe(true);
    expect(drifts(0, 0.5)).toBe(true);
  });

  it('does not wait for the grace steps when it is not a number', () => {
    expect(isDrifting(average([0.1, NaN]), 0.125)).toBe(true);
    expect(isDrifting(NO_KEPT, 0.125)).toBe(false);
  });
});

describe('judgeFit and targetFraction', () => {
  it('rejects failed fits and rising thresholds', () => {
    expect(judgeFit(fitPowerLaw([1], [1]))).toBe('failed-fit');
    expect(judgeFit(fitPowerLaw([1, 2], [-3, -2]))).toBe('rising-threshold');
    expect(judgeFit(fitPowerLaw([1, 2], [-2, -2]))).toBeUndefined();
    expect(judgeFit(fitPowerLaw([1, 2], [-2, -3]))).toBeUndefined();
  });

  it('knows a target fraction for quantiles', () => {
    expect(targetFraction(paperPolicy({ tau: 0.75 }))).toBe(0.25);
    expect(targetFraction(defaultPolicy())).toBe(0.125);
    expect(targetFraction(uniformPolicy({ c: 1 }))).toBeUndefined();
  });
});
