import { describe, expect, it } from 'vitest';
import { createRandom } from '../oracle/index.ts';
import { massThreshold, quantile, quantileIndex } from './quantile.ts';

describe('quantile', () => {
  it('is the lower order statistic, never interpolated', () => {
    const values = [50, 10, 40, 20, 30];
    expect([0, 0.25, 0.49, 0.5, 0.74, 0.75, 0.99, 1].map((tau) => quantile(values, tau))).toEqual([
      10, 20, 20, 30, 30, 40, 40, 50,
    ]);
    expect(quantileIndex(0.875, 4096)).toBe(3583);
    expect(quantileIndex(0.875, 1)).toBe(0);
  });

  it.each([1, 2, 3])('agrees with a sort, f32 and f64, seed %i', (seed) => {
    const random = createRandom(seed);
    for (let round = 0; round < 60; round++) {
      const values = random.normals(1 + random.integer(400), 3);
      const tau = random.uniform();
      const expected = Array.from(values).sort((a, c) => a - c)[Math.floor(tau * (values.length - 1))];
      expect(quantile(values, tau)).toBe(expected);
      expect(quantile(Float64Array.from(values), tau)).toBe(expected);
    }
  });

  it('keeps a share of about 1 - tau with p >= quantile', () => {
    const p = createRandom(4).normals(4096);
    const threshold = quantile(p, 0.875);
    expect(p.filter((value) => value >= threshold).length).toBe(4096 - 3583);
  });

  it('is NaN as soon as one value is, and refuses nonsense', () => {
    expect(quantile(Float32Array.of(1, NaN, 2), 0.5)).toBeNaN();
    expect(quantile([1, NaN, 2], 0.5)).toBeNaN();
    expect(() => quantile([], 0.5)).toThrow(expect.objectContaining({ option: 'values' }));
    expect(() => quantile([1], 1.01)).toThrow(expect.objectContaining({ option: 'tau' }));
    expect(() => quantile([1], NaN)).toThrow(expect.objectContaining({ option: 'tau' }));
  });
});

describe('massThreshold', () => {
  const p = [1, 8, 2, 4, 1]; // sixteenths

  it.each([
    [0, 1],
    [0.06, 1], // one row of 1 could go, but both are equal
    [0.12, 1],
    [0.125, 2],
    [0.24, 2],
    [0.25, 4],
    [0.49, 4],
    [0.5, 8],
    [1, 8],
  ])('drops at most %d of the mass with threshold %d', (epsilon, expected) => {
    expect(massThreshold(p, epsilon)).toBe(expected);
  });

  it('drops rows of no mass for nothing', () => {
    expect(massThreshold([0, 3, 0, 5, 0], 0)).toBe(3);
  });

  /** As policies.py has it: sort, cumulative sum over the total, the first row that goes past epsilon. */
  function sorted(values: Float64Array, epsilon: number): number {
    const ascending = Float64Array.from(values).sort();
    const total = ascending.reduce((a, c) => a + c, 0);
    let sum = 0;
    let index = 0;
    for (const value of ascending) {
      sum += value;
      if (sum / total <= epsilon) index++;
    }
    return ascending[Math.min(index, values.length - 1)]!;
  }

  it.each([5, 6, 7])('agrees with the sorted cumulative sum, seed %i', (seed) => {
    const random = createRandom(seed);
    for (let round = 0; round < 60; round++) {
      const n = 1 + random.integer(300);
      const values = Float64Array.from({ length: n }, () => Math.exp(3 * random.normal()));
      const epsilon = [0.005, 0.02, 0.05, 0.5][random.integer(4)]!;
      const threshold = massThreshold(values, epsilon);
      expect(threshold).toBe(sorted(values, epsilon));

      const total = values.reduce((a, c) => a + c, 0);
      const massBelow = (t: number) => values.reduce((a, c) => a + (c < t ? c : 0), 0) / total;
      expect(massBelow(threshold)).toBeLessThanOrEqual(epsilon + 1e-12);
      const larger = values.filter((value) => value > threshold);
      if (larger.length > 0) expect(massBelow(Math.min(...larger))).toBeGreaterThan(epsilon);
    }
  });

  it('is NaN for no mass and values that are not finite, and refuses nonsense', () => {
    expect(massThreshold([0, 0], 0.1)).toBeNaN();
    expect(massThreshold([1, NaN], 0.1)).toBeNaN();
    expect(massThreshold([1, Infinity], 0.1)).toBeNaN();
    expect(() => massThreshold([], 0.1)).toThrow(expect.objectContaining({ option: 'p' }));
    expect(() => massThreshold([1, -1], 0.1)).toThrow(expect.objectContaining({ option: 'p[1]' }));
    expect(() => massThreshold([1], -0.1)).toThrow(expect.objectContaining({ option: 'epsilon' }));
  });
});
