// Holds the exact thresholds of one step against f64, also where a workgroup cannot hold all scores and where
// its sample misleads.
import { beforeAll, describe, expect, test } from 'vitest';
import { testDevice } from '../../testing/device.ts';
import { THRESHOLD_TARGETS, wrongThresholds } from '../../testing/thresholds.ts';
import { canUseSubgroups } from './variants.ts';

/** With this a workgroup holds 8,192 scores. From 4,096 scores on it takes a sample. */
const TUNING = { learnWorkgroup: 64, learnHeld: 16 };
const LENGTHS = [1, 3, 130, 4095, 4096, 4097, 9001, 20_000];

describe('exact thresholds on the GPU', () => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await testDevice();
  });

  for (const subgroups of [true, false]) {
    for (const target of THRESHOLD_TARGETS) {
      test(`${JSON.stringify(target)}, ${subgroups ? 'with' : 'without'} subgroups`, async ({ skip }) => {
        if (subgroups && !canUseSubgroups(device)) skip();
        expect(await wrongThresholds(device, target, LENGTHS, subgroups, TUNING)).toEqual([]);
      }, 60_000);
    }
  }
});
