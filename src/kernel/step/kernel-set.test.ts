// A compiler that gives up, at every kernel of a policy. Dawn compiles here for no device.
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { presetPolicy } from '../../policy/index.ts';
import { FaultyDevice } from '../../testing/faults/faulty-device.ts';
import { OutputComparison } from '../proof/output-comparison.ts';
import { CONTIGUOUS_KV } from '../text/kv-layout.ts';
import { compileKernels } from './kernel-set.ts';
import { policyKernels } from './step-kinds.ts';
import { DEFAULT_TUNING } from './tuning.ts';

const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' } as const;
const VARIANT = {
  ...{ subgroupSize: 32, halfScreen: false, packedDot: true, kv: CONTIGUOUS_KV, tuning: DEFAULT_TUNING },
};
const NAMES = policyKernels(presetPolicy('balanced', 'shadow'), SHAPE, true);

let instance: GPU;
beforeAll(async () => {
  const dawn = await import('webgpu');
  Object.assign(globalThis, dawn.globals);
  instance = dawn.create(['backend=null']) as GPU;
});

let faults: FaultyDevice;
beforeEach(async () => {
  const adapter = await instance.requestAdapter();
  faults = new FaultyDevice(await adapter!.requestDevice({ requiredFeatures: ['subgroups'] }));
});

const compile = () => compileKernels(faults.device, SHAPE, VARIANT, NAMES);

describe.each(NAMES.map((name, n) => [name, n] as const))('%s', (_, n) => {
  test('rejected once: it is compiled again', async () => {
    faults.plan = { pipeline: (i) => i === n };
    expect(Object.keys(await compile())).toEqual([...NAMES]);
    expect(faults.counts.pipeline).toBe(NAMES.length + 1);
    expect(faults.uncaptured).toEqual([]);
  });

  test('rejected twice: an error that names it, and the next call compiles it and no other', async () => {
    // All kernels are asked for before the first is rejected.
    faults.plan = { pipeline: (_, label) => label.startsWith(`sift ${NAMES[n]} `) };
    await expect(compile()).rejects.toMatchObject({
      code: 'SELF_TEST_FAILED',
      message: expect.stringContaining(`The ${NAMES[n]} kernel`),
    });
    const before = faults.counts.pipeline;
    faults.plan = {};
    expect(Object.keys(await compile())).toEqual([...NAMES]);
    expect(faults.counts.pipeline).toBe(before + 1);
  });
});

test('the comparison: the same', async () => {
  faults.plan = { pipeline: (i) => i < 2 };
  await expect(OutputComparison.create(faults.device, SHAPE)).rejects.toMatchObject({
    code: 'SELF_TEST_FAILED',
    message: expect.stringContaining('by order of a test'),
  });
  faults.plan = { pipeline: (i) => i === 2 };
  const comparison = await OutputComparison.create(faults.device, SHAPE);
  expect(faults.counts.pipeline).toBe(4);
  comparison.destroy();
  expect([...faults.alive]).toEqual([]);
});
