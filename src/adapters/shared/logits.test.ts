import { expect, test } from 'vitest';
import { klDivergence, mostLikely } from './logits.ts';
import { median } from './median.ts';

test('the most likely token is the first of the largest', () => {
  expect(mostLikely(Float32Array.of(-3, 2, 7, 7, 1))).toBe(2);
  expect(mostLikely(Float32Array.of(Number.NEGATIVE_INFINITY, -5))).toBe(1);
});

test('divergence by its definition, whatever is added to logits', () => {
  // p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): ln 2 / 2 - ln 2 / 4.
  const p = Float32Array.from([0.5, 0.25, 0.25], (x) => Math.log(x) + 90);
  const q = Float32Array.from([0.25, 0.25, 0.5], (x) => Math.log(x) - 40);
  expect(klDivergence(p, q)).toBeCloseTo(Math.LN2 / 4, 5);
  expect(klDivergence(p, p)).toBe(0);
});

test('a token that cannot come counts for nothing, and one that the other rules out for everything', () => {
  const never = Number.NEGATIVE_INFINITY;
  expect(klDivergence(Float32Array.of(0, never), Float32Array.of(0, 0))).toBeCloseTo(Math.LN2, 6);
  expect(klDivergence(Float32Array.of(0, never), Float32Array.of(0, never))).toBe(0);
  expect(klDivergence(Float32Array.of(0, 0), Float32Array.of(0, never))).toBe(Number.POSITIVE_INFINITY);
});

test('medians', () => {
  expect(median([])).toBeNull();
  expect(median([30, 4, 5])).toBe(5);
  expect(median([30, 4, 5, 100])).toBe(17.5);
});
