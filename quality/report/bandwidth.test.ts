import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { bandwidthTables, filledBandwidth } from '../docs.ts';
import { assumptionsTable, bandwidthTable, MODELS, READINGS, stepMilliseconds } from './bandwidth.ts';

const [llama, qwen] = [MODELS[0]!, MODELS[1]!];
/** The row of a table for so many GB/s and keys. */
const rowOf = (table: string, start: string) =>
  table.split('\n').find((line) => line.startsWith(`| ${start} |`));

test('a step worked out by hand', () => {
  // 16 layers of 2 KB a key: at 32,768 keys 1.07 GB of K and V, beside 0.7 GB of weights, at 100 GB/s; and 16 times 8 microseconds.
  expect(stepMilliseconds(llama, READINGS.dense, 100, 32768)).toBeCloseTo(7 + 10.737 + 0.128, 3);
  // 36 layers of 4 KB a key: at 131,072 keys 19.33 GB, of which 14% are read, beside 2.4 GB, at 1,000 GB/s; and 36 times 15 microseconds.
  expect(stepMilliseconds(qwen, READINGS.shadow14, 1000, 131072)).toBeCloseTo(2.4 + 2.706 + 0.54, 3);
});

test('rows worked out by hand', () => {
  // Dense 17.865 ms as above. V alone: 7 + 5.798 + 0.208. Shadow: 7 + 1.718 + 0.24, and 7 + 1.503 + 0.24.
  expect(rowOf(bandwidthTable(llama), '100 | 32,768')).toBe(
    '| 100 | 32,768 | 17.9 | 13.0 | 9.0 | 8.7 | 1.37 | 1.99 | 2.04 |',
  );
  // With 12 microseconds: 17.929 over 12.990 and 8.910. With 40: 18.377 over 13.438 and 9.358. 28%: 17.865 over 7 + 3.006 + 0.24.
  expect(rowOf(assumptionsTable(llama), '100 | 32,768')).toBe(
    '| 100 | 32,768 | 1.38 | 2.01 | 1.37 | 1.96 | 1.74 |',
  );
});

test('docs/lab/bandwidth.md has a place for every table, and the tables of the model (npm run quality:docs)', () => {
  const page = readFileSync('docs/lab/bandwidth.md', 'utf8');
  for (const table of Object.values(bandwidthTables())) expect(page).toContain(table);
  expect(filledBandwidth() === page).toBe(true);
});
