import { expect, test } from 'vitest';
import { align } from './align.ts';

test.each([
  ['abc', 'abc', 'aa bb cc'],
  ['abc', 'axbc', 'aa bb cc'],
  ['abxc', 'abc', 'aa bb cc'],
  ['abc', 'xyz', ''],
  ['', 'abc', ''],
  ['aab', 'ab', 'aa bb'],
  ['pabcq', 'pcabq', 'pp aa bb qq'],
])('%s and %s', (a, b, expected) => {
  const pairs = align([...a], [...b]);
  expect(pairs.map(([i, j]) => `${a[i]}${b[j]}`).join(' ')).toBe(expected);
  // Both sides go forward.
  for (const side of [0, 1] as const)
    expect(pairs.every((pair, i) => i === 0 || pair[side] > pairs[i - 1]![side])).toBe(true);
});
