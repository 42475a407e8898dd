// A device that has no more than every WebGPU device has, and tells nothing about itself.
import { expect, test } from 'vitest';
import { presetPolicy } from '../../policy/index.ts';
import { testAdapter } from '../../testing/device.ts';
import { expectHarmless, faultyRun, sharedDevice } from '../../testing/faults/faulty-run.ts';

test('8 storage buffers, 16 KB of workgroup memory, no features, no adapter info, measured', async () => {
  const { stock } = await sharedDevice();
  const device = await (await testAdapter()).requestDevice();
  const { maxStorageBuffersPerShaderStage, maxComputeWorkgroupStorageSize, maxStorageBufferBindingSize } =
    device.limits;
  expect(maxStorageBuffersPerShaderStage).toBeLessThanOrEqual(10);
  expect(maxComputeWorkgroupStorageSize).toBe(16_384);
  expect(maxStorageBufferBindingSize).toBe(2 ** 27);
  for (const feature of ['subgroups', 'shader-f16', 'timestamp-query'])
    expect(device.features.has(feature)).toBe(false);
  Object.defineProperty(device, 'adapterInfo', { value: undefined });
  const target = { kind: 'uniform', c: 1e-4 } as const;
  const policy = { ...presetPolicy('balanced'), target, name: 'small' };
  const outcome = await faultyRun(device, {}, { policy, siftFrom: 'auto' });
  expect(outcome.refused).toBeUndefined();
  expectHarmless(outcome, stock);
  expect(outcome.report!.crossover[0]!.source).toBe('measured');
  device.destroy();
});
