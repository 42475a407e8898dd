// Calibrates on the device that runs the tests: how long it takes, what it measures and what it remembers.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  planStep,
  presetPolicy,
  probabilityPolicy,
  type ThresholdPolicy,
  uniformPolicy,
} from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import { canUseSubgroups, fastestVariant } from '../proof/variants.ts';
import { AttentionEncoder, createStepResources, type StepResources } from '../step/encoder.ts';
import { pagedKv } from '../text/kv-paged.ts';
import { CALIBRATION_BUDGET, calibrate } from './calibrate.ts';
import { CalibrationInputs } from './calibration-inputs.ts';
import { applyCalibration, calibration, calibrationKey, forgetCalibrations } from './calibration-store.ts';
import type { CalibrationRecord } from './record.ts';
import { sharedValue } from './shared-store.ts';

const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 32, dtype: 'f32' } as const;
const POLICY = uniformPolicy({ c: 1 });
const EXACT: ThresholdPolicy = { ...POLICY, normaliser: 'exact' };

let device: GPUDevice;
let resources: StepResources;
let encoder: AttentionEncoder;
beforeAll(async () => {
  device = await testDevice({ timestamps: true });
  resources = await createStepResources(device);
  encoder = await AttentionEncoder.create(resources, SHAPE, fastestVariant(device, SHAPE), POLICY, EXACT);
});
afterAll(() => device.destroy());

/** The share of the V rows that a group reads in one sifted step on the inputs of a calibration. */
async function keptGroup(of: AttentionEncoder, policy: ThresholdPolicy, pageSize?: number): Promise<number> {
  const length = 2048;
  const inputs = await CalibrationInputs.create(of, policy, length, pageSize, []);
  const commands = device.createCommandEncoder();
  const pass = commands.beginComputePass();
  inputs.encode(pass, inputs.prepare(planStep(inputs.policy, 2)), 0);
  pass.end();
  device.queue.submit([commands.finish()]);
  const { groups } = await inputs.figures();
  inputs.destroy();
  return groups.reduce((sum, { lastUnion }) => sum + lastUnion, 0) / groups.length / length;
}

describe('calibration', () => {
  test('a sifted step on the inputs reads about 15% of V, contiguous and paged', async () => {
    const variant = fastestVariant(device, SHAPE, { kv: pagedKv(16) });
    const paged = await AttentionEncoder.create(resources, SHAPE, variant, POLICY, EXACT);
    const shares = {
      exact: [await keptGroup(encoder, EXACT), await keptGroup(paged, EXACT, 16)],
      // The estimate takes some hundred keys, so that this share is only near the intended one.
      estimate: [await keptGroup(encoder, POLICY), await keptGroup(paged, POLICY, 16)],
    };
    console.log(`V rows read: ${JSON.stringify(shares)}`);
    for (const [kind, low, high] of [
      ['exact', 0.13, 0.17],
      ['estimate', 0.1, 0.35],
    ] as const) {
      for (const share of shares[kind]) {
        expect(share).toBeGreaterThan(low);
        expect(share).toBeLessThan(high);
      }
    }
  });

  test('leaves the encoder as it was, and gives a crossover', async () => {
    const before = { ...encoder.tuning };
    // The first use of the pipelines is not to count: in enableSift the self-test has run before.
    await calibrate(encoder, POLICY, undefined, 1);
    const errors: string[] = [];
    device.addEventListener('uncapturederror', (event) => errors.push(event.error.message));
    const found = await calibrate(encoder, POLICY);
    console.log(JSON.stringify(found));
    expect(errors).toEqual([]);
    expect(encoder.siftFrom).toBe(0);
    expect(encoder.tuning).toEqual(before);
    expect(found.samples.length).toBeGreaterThan(0);
    for (const { dense, sift } of found.samples) {
      expect(dense).toBeGreaterThan(0);
      expect(sift).toBeGreaterThan(0);
    }
    expect(found.times.map(({ length }) => length)).toEqual(found.samples.map(({ length }) => length));
    expect(found.siftFrom).toBeGreaterThanOrEqual(0);
  });

  test('with the shadow, its kernel is measured, and nothing reaches those who listen on the device', async ({
    skip,
  }) => {
    if (!canUseSubgroups(device)) skip();
    const policy = presetPolicy('balanced', 'shadow');
    const shadowed = await AttentionEncoder.create(resources, SHAPE, fastestVariant(device, SHAPE), policy);
    expect(shadowed.effective(policy)).toBe(policy);
    const before = { ...shadowed.tuning };
    const errors: string[] = [];
    const listen = (event: GPUUncapturedErrorEvent) => errors.push(event.error.message);
    device.addEventListener('uncapturederror', listen);
    const found = await calibrate(shadowed, policy);
    device.removeEventListener('uncapturederror', listen);
    expect(errors).toEqual([]);
    expect(found.samples.length).toBeGreaterThan(0);
    expect(shadowed.tuning).toEqual(before);
    // The number that was found is the shadow kernel's.
    applyCalibration(shadowed, policy, { ...found, siftWorkgroups: 7 });
    expect(shadowed.tuning).toEqual({ ...before, workgroups: found.workgroups, shadowWorkgroups: 7 });
  });

  test.each([10, 100, 1000])('stays in its budget where a pass takes %i ms', async (passTime) => {
    // A clock that moves with the passes, so that the test does not depend on how busy the machine is. Nothing reaches the device: what the
    // passes compute makes no difference here, and on a software adapter the long ones would take minutes.
    const untimed = await testDevice();
    const own = await createStepResources(untimed);
    const slow = await AttentionEncoder.create(own, SHAPE, fastestVariant(untimed, SHAPE), POLICY);
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    const submit = untimed.queue.submit.bind(untimed.queue);
    untimed.queue.submit = () => {
      now += passTime;
      submit([]);
    };
    const found = await calibrate(slow, POLICY);
    clock.mockRestore();
    untimed.destroy();
    expect(found.milliseconds).toBe(now);
    // The inputs, an empty pass three times, and the first look at both kinds, which is all there is on a slow device.
    expect(found.milliseconds).toBeLessThanOrEqual(CALIBRATION_BUDGET + 12 * passTime);
    expect(found.samples.length).toBeGreaterThan(0);
    if (passTime > CALIBRATION_BUDGET) expect(found.steady).toBe(false);
  });

  test('is measured once a device, and remembered by later loads', async () => {
    const key = calibrationKey(encoder, POLICY, undefined);
    await sharedValue(key, () => undefined);
    const [first, again] = await Promise.all([calibration(encoder, POLICY), calibration(encoder, POLICY)]);
    expect(again).toBe(first);
    expect(first.source).toBe('measured');
    const { source, ...choice } = first;
    expect(await sharedValue(key)).toMatchObject({ choice, loads: 1 });

    // A busy machine would have to measure again, so that the test settles the record itself.
    const settle = (stored: unknown) => ({ ...(stored as CalibrationRecord), settled: true });
    await sharedValue(key, settle);
    forgetCalibrations(device);
    expect(await calibration(encoder, POLICY)).toEqual({ ...choice, source: 'remembered' });

    // A record that cannot be read is measured again.
    await sharedValue(key, () => ({ choice: { siftFrom: 'soon' } }));
    forgetCalibrations(device);
    expect((await calibration(encoder, POLICY)).source).toBe('measured');
  });

  test('a policy that keeps every row has its workgroups measured, no crossover', async () => {
    const found = await calibrate(encoder, probabilityPolicy({ p: 0 }));
    expect(found.samples).toEqual([]);
    expect(found.siftFrom).toBe(0);
  });
});
