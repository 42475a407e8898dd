import type { SiftError } from '../../errors.ts';
import { type ThresholdPolicy, withExactKeys } from '../../policy/index.ts';
import type { AttentionShape } from '../shape.ts';
import { AttentionEncoder, type StepResources } from '../step/encoder.ts';
import { stepKinds } from '../step/step-kinds.ts';
import type { KernelVariant } from '../text/variant.ts';
import { runStepCases } from './step-cases.ts';
import { checkOutcome } from './test-cases.ts';

/**
 * What has passed on each device. A device keeps its compiled kernels (`compileKernels`), so that the same shape, variant and policy are
 * the same kernels on the same data.
 */
const passed = new WeakMap<GPUDevice, Set<string>>();

/** Keys of the self-test: several splits, of which the last is not full. */
const LENGTH = 301;

/**
 * Runs every kind of step that a policy has, and holds it against the f64 oracle. If something fails or there is no memory, and the policy
 * has a shadow, the rest is tried without it, so that the shadow's kernels cannot cost a device its faster variant. The encoder says so in
 * `hasShadow`.
 *
 * What has passed on a device is not run there again. What has failed is.
 *
 * @returns the encoder that was tested
 * @throws {SiftError} `SELF_TEST_FAILED` if a kernel does not compile or computes something else; the message
 *   says what. `OUT_OF_MEMORY`, `DEVICE_LOST`.
 */
export async function selfTest(
  resources: StepResources,
  shape: AttentionShape,
  variant: KernelVariant,
  policy: ThresholdPolicy,
): Promise<AttentionEncoder> {
  try {
    return await testPolicy(resources, shape, variant, policy);
  } catch (error) {
    const { code } = error as SiftError;
    if (policy.keys === 'exact' || (code !== 'SELF_TEST_FAILED' && code !== 'OUT_OF_MEMORY')) throw error;
    return testPolicy(resources, shape, variant, withExactKeys(policy));
  }
}

async function testPolicy(
  resources: StepResources,
  shape: AttentionShape,
  variant: KernelVariant,
  policy: ThresholdPolicy,
): Promise<AttentionEncoder> {
  const { device } = resources;
  const encoder = await AttentionEncoder.create(resources, shape, variant, policy);
  const onDevice = passed.get(device) ?? new Set<string>();
  passed.set(device, onDevice);
  const { kv, ...numbers } = variant;
  const key = JSON.stringify([shape, numbers, kv.name, policy]);
  if (onDevice.has(key)) return encoder;
  const kinds = stepKinds(policy, shape, variant.subgroupSize > 0);
  const cases = runStepCases(encoder, { seed: 20261124, kinds, policy, lengths: [LENGTH] });
  for await (const { kind, ...outcome } of cases) checkOutcome(kind, outcome, shape.dtype);
  onDevice.add(key);
  return encoder;
}
