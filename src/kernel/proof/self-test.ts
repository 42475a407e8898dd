import { createRandom, siftedAttention } from '../../oracle/index.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import { fromFloat16, toFloat16 } from '../gpu/float16.ts';
import { download, upload } from '../gpu/transfer.ts';
import type { AttentionShape } from '../shape.ts';
import { AttentionEncoder, type StepResources } from '../step/encoder.ts';
import { LayerState } from '../step/layer-state.ts';
import { stepKinds } from '../step/step-kinds.ts';
import type { KernelVariant } from '../text/variant.ts';
import { checkOutcome, learnedError, outputError, testCases } from './test-cases.ts';

/** Keys of the self-test: several splits, of which the last is not full. */
const LENGTH = 301;

/**
 * Runs every kind of step that a policy has, and holds it against the f64 oracle.
 *
 * @returns the encoder that was tested
 * @throws {SiftError} `SELF_TEST_FAILED` if a kernel does not compile or computes something else; the message
 *   says what.
 */
export async function selfTest(
  resources: StepResources,
  shape: AttentionShape,
  variant: KernelVariant,
  policy: ThresholdPolicy,
): Promise<AttentionEncoder> {
  const { device } = resources;
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const encoder = await AttentionEncoder.create(resources, shape, variant, policy);
  const random = createRandom(20261124);
  const round = dtype === 'f16' ? (x: number) => fromFloat16(toFloat16(x)) : Math.fround;
  const draw = (count: number) => Float64Array.from({ length: count }, () => round(random.normal()));
  const [q, k, v] = [
    draw(queryHeads * headSize),
    draw(kvHeads * LENGTH * headSize),
    draw(kvHeads * LENGTH * headSize),
  ];
  const inputs = { q, k, v, batch: 1, queryHeads, kvHeads, headSize, capacity: LENGTH, lengths: LENGTH };
  const cases = testCases(stepKinds(policy, shape, variant.subgroupSize > 0), policy, inputs, dtype, random);
  const buffers = {
    q: upload(device, q, dtype),
    keys: upload(device, k, dtype),
    values: upload(device, v, dtype),
    output: upload(device, new Float32Array(queryHeads * headSize), dtype),
    lengths: upload(device, [LENGTH], 'i32'),
  };
  const binding = (name: keyof typeof buffers) => ({ buffer: buffers[name] });
  const layer = { q: binding('q'), keys: binding('keys'), values: binding('values') };
  try {
    for (const { kind, policy: tested, plan, p } of cases) {
      const state = new LayerState(device, shape, 1, tested);
      const step = encoder.prepare({
        batch: 1,
        lengths: binding('lengths'),
        lengthBias: 0,
        maxLength: LENGTH,
        capacity: LENGTH,
        scale: 1 / Math.sqrt(headSize),
        policy: tested,
        plan,
      });
      const commands = device.createCommandEncoder();
      const pass = commands.beginComputePass();
      encoder.attend(pass, step, layer, state);
      encoder.combine(pass, step, binding('output'), state);
      pass.end();
      device.queue.submit([commands.finish()]);
      const got = await download(device, buffers.output, queryHeads * headSize, dtype);
      const learned = plan.fit ? learnedError((await state.read()).heads, inputs) : 0;
      state.destroy();
      const want = siftedAttention(inputs, new Float64Array(queryHeads).fill(Math.log(p)), tested).output;
      checkOutcome(kind, { error: outputError(got, want, shape), learnedError: learned }, dtype);
    }
    return encoder;
  } finally {
    for (const buffer of Object.values(buffers)) buffer.destroy();
  }
}
