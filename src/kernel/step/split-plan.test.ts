import { expect, test } from 'vitest';
import type { AttentionShape } from '../shape.ts';
import { planSplits } from './split-plan.ts';
import { DEFAULT_TUNING } from './tuning.ts';

const shape = (queryHeads: number, kvHeads: number): AttentionShape => ({
  queryHeads,
  kvHeads,
  headSize: 64,
  dtype: 'f16',
});

test('the splits cover every key, none is empty, their number is bounded', () => {
  for (const [queryHeads, kvHeads] of [
    [8, 8],
    [32, 8],
    [14, 2],
    [64, 1],
  ] as const) {
    for (const batch of [1, 3]) {
      for (const length of [1, 2, 63, 127, 128, 129, 1000, 4097, 131_072, 262_144]) {
        const { splits, chunk } = planSplits(shape(queryHeads, kvHeads), batch, length);
        expect(splits * chunk).toBeGreaterThanOrEqual(length);
        expect((splits - 1) * chunk).toBeLessThan(length);
        expect(splits).toBeLessThanOrEqual(256);
        // Kernels add counts of rows in f32, which is exact up to 2^24.
        expect(chunk).toBeLessThan(2 ** 24);
      }
    }
  }
});

test('a long context is cut into enough workgroups for a large GPU', () => {
  const { splits } = planSplits(shape(32, 8), 1, 32_768);
  expect(splits * 8).toBeGreaterThanOrEqual(512);
});

test('long splits have whole tiles, short ones are not made longer for it', () => {
  for (const length of [32_768, 40_000, 131_072, 262_144]) {
    const { splits, chunk } = planSplits(shape(32, 8), 1, length);
    expect(chunk % 128).toBe(0);
    expect(splits).toBeGreaterThan(60);
  }
  expect(planSplits(shape(32, 8), 1, 20_000)).toEqual({ splits: 66, chunk: 304 });
});

test('a workgroup beside the splits takes the place of one, where there are many', () => {
  for (const length of [16_384, 20_000, 24_576, 131_072]) {
    const { splits } = planSplits(shape(32, 8), 1, length, DEFAULT_TUNING, true, 1);
    expect((splits + 1) * 8).toBeLessThanOrEqual(DEFAULT_TUNING.siftWorkgroups);
  }
  const few = { ...DEFAULT_TUNING, siftWorkgroups: 4 };
  const alone = planSplits(shape(8, 2), 1, 4096, few, true, 0);
  expect(planSplits(shape(8, 2), 1, 4096, few, true, 1)).toEqual(alone);
});

test('combine can merge the splits and the workgroups beside them', () => {
  const { splits } = planSplits(shape(1, 1), 1, 2 ** 20, DEFAULT_TUNING, true, 3);
  expect(splits + 3).toBeLessThanOrEqual(256);
});
