import { expect, test } from 'vitest';
import { compareStep, compareSteps, firstDifference, stockDecoding } from './comparison.ts';

const row = (...values: number[]) => Float32Array.from(values);

test('a step: most likely tokens, the gap of the two best, the largest difference and the range', () => {
  const { kl, ...step } = compareStep(row(1, 4, 3.5, -2), row(1, 3.5, 3.75, -2.25));
  expect(step).toEqual({ stock: 1, ours: 2, gap: 0.5, largest: 0.5, range: 6 });
  expect(kl).toBeGreaterThan(0.01);
  expect(compareStep(row(1, 4), row(1, 4)).kl).toBeCloseTo(0, 6);
});

test('a logit that is no number is an infinite difference, wherever it is', () => {
  expect(compareStep(row(1, 2), row(Number.NaN, 2)).largest).toBe(Number.POSITIVE_INFINITY);
  expect(compareStep(row(Number.NaN, 2, 1), row(0, 2, 1)).largest).toBe(Number.POSITIVE_INFINITY);
});

test('steps are compared one by one, and must be as many', () => {
  const stock = [row(1, 0), row(0, 1)];
  expect(compareSteps(stock, [row(1, 0), row(1, 0)]).map(({ ours }) => ours)).toEqual([0, 0]);
  expect(() => compareSteps(stock, [row(1, 0)])).toThrow('1 steps instead of 2');
});

test('stock decodings differ from the first step on at which any bit does', () => {
  const one = stockDecoding([row(1, 2), row(3, 4), row(5, 6)]);
  expect(one.tokens).toEqual([1, 1, 1]);
  expect(firstDifference(one, stockDecoding([row(1, 2), row(3, 4)]))).toBeNull();
  expect(firstDifference(one, stockDecoding([row(1, 2), row(3, 4.0000005), row(5, 6)]))).toBe(1);
  // The same values in another order, and zeros of another sign.
  expect(firstDifference(one, stockDecoding([row(2, 1)]))).toBe(0);
  expect(firstDifference(stockDecoding([row(0)]), stockDecoding([row(-0)]))).toBe(0);
});

test('a part of a larger buffer has the digest of its own values', () => {
  const [part] = [row(9, 1, 2, 9).subarray(1, 3)];
  expect(firstDifference(stockDecoding([part!]), stockDecoding([row(1, 2)]))).toBeNull();
});
