import { expect, test } from 'vitest';
import { applyRule, describeRule, findLengthRule } from './length-rule.ts';

const lengths = Array.from({ length: 80 }, (_, i) => 60 + i);

test.each([
  ['3', () => 3],
  ['-Infinity', () => Number.NEGATIVE_INFINITY],
  ['n', (n: number) => n],
  ['n − 1', (n: number) => n - 1],
  ['32 · n − 32', (n: number) => 32 * n - 32],
  ['n + 7', (n: number) => n + 7],
  ['ceil(n / 64)', (n: number) => Math.ceil(n / 64)],
  ['8 · ceil(n / 64)', (n: number) => 8 * Math.ceil(n / 64)],
])('%s is found, and gives its values', (text, of) => {
  const rule = findLengthRule(lengths, lengths.map(of))!;
  expect(describeRule(rule)).toBe(text);
  expect(applyRule(rule, 1000)).toBe(of(1000));
});

test('no rule is made up where there is none', () => {
  const rule = findLengthRule(
    lengths,
    lengths.map((n) => n * n),
  );
  expect(describeRule(rule)).toBe('no rule found');
});
