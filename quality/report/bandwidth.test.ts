import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { bandwidthTables, filledBandwidth } from '../docs.ts';
import { MODELS, READINGS, stepMilliseconds } from './bandwidth.ts';

test('a step worked out by hand', () => {
  // 16 layers of 2 KB a key: at 32,768 keys 1.07 GB of K and V, beside 0.7 GB of weights, at 100 GB/s; and 16 times 8 microseconds.
  expect(stepMilliseconds(MODELS[0]!, READINGS[0]!, 100, 32768)).toBeCloseTo(7 + 10.737 + 0.128, 3);
});

test('docs/lab/bandwidth.md has the tables of the model (npm run quality:docs)', () => {
  const page = readFileSync('docs/lab/bandwidth.md', 'utf8');
  for (const table of Object.values(bandwidthTables())) expect(page).toContain(table);
  expect(filledBandwidth() === page).toBe(true);
});
