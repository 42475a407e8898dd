import { expect, test } from 'vitest';
import type { AttentionShape } from '../shape.ts';
import { combineSlices } from '../text/constants.ts';
import { DEFAULT_TUNING, tuningOf } from './tuning.ts';

const device = (vendor: string, description: string, most: number) =>
  ({
    adapterInfo: { vendor, description, architecture: '', subgroupMaxSize: 64 },
    limits: { maxComputeInvocationsPerWorkgroup: most, maxComputeWorkgroupSizeX: most },
  }) as unknown as GPUDevice;

test('large workgroups only where they were measured, and where the device was asked for them', () => {
  expect(tuningOf(device('nvidia', '', 1024)).learnWorkgroup).toBe(1024);
  expect(tuningOf(device('nvidia', '', 256)).learnWorkgroup).toBe(256);
  expect(tuningOf(device('apple', '', 1024)).learnWorkgroup).toBe(256);
  expect(tuningOf(device('', '', 1024))).toEqual(DEFAULT_TUNING);
});

test('a software adapter gets loops and few workgroups', () => {
  const { unrolled, workgroups } = tuningOf(device('google', 'SwiftShader Device', 1024));
  expect(unrolled).toBe(false);
  expect(workgroups).toBeLessThan(16);
});

test('combine is cut into slices where there are few heads, each of whole words and at least 32 elements', () => {
  const slices = (queryHeads: number, headSize: number, dtype: AttentionShape['dtype'] = 'f16') =>
    combineSlices({ queryHeads, kvHeads: 1, headSize, dtype }, DEFAULT_TUNING);
  expect(slices(4, 256)).toBe(8);
  expect(slices(12, 128)).toBe(4);
  expect(slices(14, 64)).toBe(2);
  expect(slices(64, 128)).toBe(2);
  expect(slices(128, 128)).toBe(1);
  expect(slices(8, 40)).toBe(1);
  expect(slices(8, 72)).toBe(1); // nine words of eight
  expect(slices(8, 72, 'f32')).toBe(2);
});
