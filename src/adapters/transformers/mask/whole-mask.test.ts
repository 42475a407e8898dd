import { expect, test } from 'vitest';
import type { OrtTensor } from '../runtime.ts';
import { seesAllKeys } from './whole-mask.ts';

const mask = (values: readonly number[], changes: Partial<OrtTensor> = {}): OrtTensor =>
  ({
    dims: [1, values.length],
    type: 'int64',
    location: 'cpu',
    data: BigInt64Array.from(values, BigInt),
    ...changes,
  }) as OrtTensor;

test('one sequence without padding sees all of its keys', () => {
  expect(seesAllKeys(mask([1, 1, 1]), 3)).toBe(true);
  // As the growing mask hands it out: a view of a larger array.
  const data = BigInt64Array.from([0n, 1n, 1n, 1n, 0n]).subarray(1, 4);
  expect(seesAllKeys(mask([1, 1, 1], { data }), 3)).toBe(true);
});

test('padding, holes, other numbers, batches, other lengths and other places do not', () => {
  expect(seesAllKeys(mask([0, 1, 1]), 3)).toBe(false);
  expect(seesAllKeys(mask([1, 0, 1]), 3)).toBe(false);
  expect(seesAllKeys(mask([1, 2 ** 32 + 1, 1]), 3)).toBe(false);
  expect(seesAllKeys(mask([1, 1, 1, 1], { dims: [2, 2] }), 2)).toBe(false);
  expect(seesAllKeys(mask([1, 1, 1]), 4)).toBe(false);
  expect(seesAllKeys(mask([1, 1, 1], { location: 'gpu-buffer' }), 3)).toBe(false);
  expect(seesAllKeys(mask([1, 1, 1], { data: Int32Array.from([1, 1, 1]) }), 3)).toBe(false);
  expect(seesAllKeys(undefined, 3)).toBe(false);
  expect(seesAllKeys(mask(new Array(8193).fill(1)), 8193)).toBe(false);
});
