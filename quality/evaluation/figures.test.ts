import { expect, test } from 'vitest';
import { summarise } from './figures.ts';

test('figures of sequences are put together', () => {
  const row = summarise('x', [
    { nll: [0, 2], kl: [0, 1], same: [1, 0], sift: null },
    { nll: [1, 1], kl: [2, 3], same: [1, 1], sift: null },
  ]);
  expect(row).toMatchObject({ ppl: Math.E, klMean: 1.5, klMedian: 1.5, top1: 0.75, keptHead: null });
});
