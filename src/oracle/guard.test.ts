import { describe, expect, it } from 'vitest';
import { GUARD } from '../policy/index.ts';
import { isDrifting, judgeFit, NO_MASS, updateMass } from './guard.ts';
import { fitPowerLaw } from './powerlaw.ts';

const average = (masses: number[]) => masses.reduce(updateMass, NO_MASS);
const constant = (mass: number, steps: number) => average(Array(steps).fill(mass));

describe('kept-mass average', () => {
  it('decays by 0.9 from the first value', () => {
    expect(average([0.5]).mean).toBe(0.5);
    expect(average([0.5, 0.1]).mean).toBeCloseTo(0.46, 12);
    expect(average([0.5, 0.1, 0.1]).mean).toBeCloseTo(0.424, 12);
    expect(average([0.5, 0.1, 0.1]).steps).toBe(3);
  });

  it('is judged after the grace steps only', () => {
    expect(GUARD.graceSteps).toBe(16);
    expect(isDrifting(constant(0.4, 16))).toBe(false);
    expect(isDrifting(constant(0.4, 17))).toBe(true);
  });

  it('must be half of the probability', () => {
    const drifts = [0, 0.49, 0.51, 1].map((mass) => isDrifting(constant(mass, 40)));
    expect(drifts).toEqual([true, true, false, false]);
  });

  it('does not wait for the grace steps when it is not a number', () => {
    expect(isDrifting(average([0.9, NaN]))).toBe(true);
    expect(isDrifting(NO_MASS)).toBe(false);
  });
});

describe('judgeFit', () => {
  it('rejects failed fits and rising thresholds', () => {
    expect(judgeFit(fitPowerLaw([1], [1]))).toBe('failed-fit');
    expect(judgeFit(fitPowerLaw([1, 2], [-3, -2]))).toBe('rising-threshold');
    expect(judgeFit(fitPowerLaw([1, 2], [-2, -2]))).toBeUndefined();
    expect(judgeFit(fitPowerLaw([1, 2], [-2, -3]))).toBeUndefined();
  });
});
