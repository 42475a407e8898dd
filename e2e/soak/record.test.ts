import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { filledDocument, spread } from './record.ts';

test('docs/trust.md has the table that the record of soaks gives (npm run soak -- --keep)', () => {
  expect(filledDocument() === readFileSync('docs/trust.md', 'utf8')).toBe(true);
});

test('of many rounds the first two, the last, and others between are kept', () => {
  const list = Array.from({ length: 101 }, (_, i) => i);
  expect(spread(list, 5)).toEqual([0, 1, 34, 67, 100]);
  expect(spread([0, 1, 2], 5)).toEqual([0, 1, 2]);
});
