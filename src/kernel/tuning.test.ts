import { expect, test } from 'vitest';
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

test('a processor that stands in for a GPU gets loops and few workgroups', () => {
  const { unrolled, workgroups } = tuningOf(device('google', 'SwiftShader Device', 1024));
  expect(unrolled).toBe(false);
  expect(workgroups).toBeLessThan(16);
});
