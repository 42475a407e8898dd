import { expect, test } from 'vitest';
import { mean, quantile } from './statistics.ts';

test('quantiles lie between order statistics, in whatever order the list is', () => {
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect([0, 0.1, 1].map((q) => quantile([30, 10, 20], q))).toEqual([10, 12, 30]);
  expect(mean([1, 2, 6])).toBe(3);
});
