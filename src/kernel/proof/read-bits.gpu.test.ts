// Which V rows a step says that it reads, against the f64 reference: in one pass, in two, and without subgroups.
import { beforeAll, expect, test } from 'vitest';
import {
  attentionScores,
  createRandom,
  judgedLogProbabilities,
  siftedAttention,
} from '../../oracle/index.ts';
import { presetPolicy, probabilityPolicy, type ThresholdPolicy, validatePolicy } from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import { fromFloat16, toFloat16 } from '../gpu/float16.ts';
import { download, upload } from '../gpu/transfer.ts';
import type { AttentionShape } from '../shape.ts';
import { AttentionEncoder, createStepResources, destroyStepResources } from '../step/encoder.ts';
import { LayerState } from '../step/layer-state.ts';
import { compileNoting } from '../step/noting.ts';
import { clearReadBits, readBitsBytes, reserveReadBits } from '../step/read-bits.ts';
import type { KernelVariant } from '../text/variant.ts';
import { clearKeys, clearThreshold } from './test-cases.ts';
import { canUseSubgroups, fastestVariant, kernelVariants } from './variants.ts';

const LENGTHS = [701, 330];
const CAPACITY = 720;

let device: GPUDevice;
beforeAll(async () => {
  device = await testDevice();
});

/** A step of a shape: the bits that it noted, and those of the reference, [batch, kvHeads, score stride / 32]. */
async function step(shape: AttentionShape, variant: KernelVariant, normaliser: 'exact' | 'estimate') {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const batch = LENGTHS.length;
  const random = createRandom(queryHeads + headSize);
  const round = dtype === 'f16' ? (x: number) => fromFloat16(toFloat16(x)) : Math.fround;
  const draw = (count: number) => Float64Array.from({ length: count }, () => round(random.normal()));
  const inputs = {
    q: draw(batch * queryHeads * headSize),
    k: draw(batch * kvHeads * CAPACITY * headSize),
    v: draw(batch * kvHeads * CAPACITY * headSize),
    ...{ batch, queryHeads, kvHeads, headSize, capacity: CAPACITY, lengths: LENGTHS },
  };
  const judged = judgedLogProbabilities(inputs, attentionScores(inputs), normaliser);
  const p = clearThreshold(random, judged, LENGTHS[0]!);
  const thresholds = new Float64Array(batch * queryHeads).fill(Math.log(p));
  if (dtype === 'f16') clearKeys(random, inputs, thresholds, normaliser);
  const policy: ThresholdPolicy = validatePolicy({
    ...probabilityPolicy({ p }),
    normaliser,
    keepLargest: false,
  });

  const resources = await createStepResources(device);
  const encoder = await AttentionEncoder.create(resources, shape, variant, policy);
  await compileNoting(encoder, policy);
  const state = new LayerState(device, shape, batch, policy);
  const buffers = {
    q: upload(device, inputs.q, dtype),
    keys: upload(device, inputs.k, dtype),
    values: upload(device, inputs.v, dtype),
    output: upload(device, new Float32Array(batch * queryHeads * headSize), dtype),
    lengths: upload(device, LENGTHS, 'i32'),
  };
  const binding = (name: keyof typeof buffers) => ({ buffer: buffers[name] });
  const prepared = encoder.prepare({
    ...{ batch, lengths: binding('lengths'), lengthBias: 0, maxLength: LENGTHS[0]!, capacity: CAPACITY },
    ...{ scale: 1 / Math.sqrt(headSize), policy, notesReads: true },
    plan: { step: 2, dense: false, windowIndex: -1, fit: false, measure: false },
  });
  const { scoreStride } = prepared.geometry;
  await reserveReadBits(device, [state], scoreStride);
  // Twice: the bits of the first step must not be left in the second.
  for (let i = 0; i < 2; i++) {
    const commands = device.createCommandEncoder();
    clearReadBits(commands, state, scoreStride);
    const pass = commands.beginComputePass();
    encoder.attend(
      pass,
      prepared,
      { q: binding('q'), keys: binding('keys'), values: binding('values') },
      state,
    );
    encoder.combine(pass, prepared, binding('output'), state);
    pass.end();
    device.queue.submit([commands.finish()]);
  }
  const words = readBitsBytes(state, scoreStride) / 4;
  const floats = await download(device, state.readBits!.buffer, words, 'f32');
  const got = new Uint32Array(Float32Array.from(floats).buffer);
  state.destroy();
  for (const buffer of Object.values(buffers)) buffer.destroy();
  destroyStepResources(resources);

  const { groupKept, groupRows } = siftedAttention(inputs, thresholds, policy);
  const want = new Uint32Array(words);
  groupKept.forEach((kept, i) => {
    const key = i % CAPACITY;
    if (kept) want[(Math.floor(i / CAPACITY) * scoreStride + key) >>> 5]! |= 1 << (key & 31);
  });
  return { got, want, rows: groupRows.reduce((sum, count) => sum + count, 0), kind: prepared.kind };
}

const SHAPES: AttentionShape[] = [
  { queryHeads: 4, kvHeads: 2, headSize: 64, dtype: 'f32' },
  { queryHeads: 7, kvHeads: 1, headSize: 96, dtype: 'f16' },
  { queryHeads: 24, kvHeads: 2, headSize: 32, dtype: 'f32' },
];

test.for(
  SHAPES.flatMap((shape) =>
    (['one pass', 'two passes', 'portable'] as const).map((how) => [shape, how] as const),
  ),
)('%o, %s', async ([shape, how], { skip }) => {
  if (how !== 'portable' && !canUseSubgroups(device)) skip();
  // A group of twelve is served by several workgroups, which is never done in one pass.
  const variant =
    how === 'portable'
      ? kernelVariants(device, shape).find(({ subgroupSize }) => subgroupSize === 0)!
      : fastestVariant(device, shape);
  const { got, want, rows, kind } = await step(shape, variant, how === 'one pass' ? 'estimate' : 'exact');
  expect(kind).toBe(how === 'one pass' && shape.queryHeads < 24 ? 'sift' : 'exact');
  expect(rows).toBeGreaterThan(LENGTHS.length);
  expect(got).toEqual(want);
});

test('without inspection the kernels bind nothing more; with the shadow it is refused', async ({ skip }) => {
  if (!canUseSubgroups(device)) skip();
  const shape = SHAPES[0]!;
  const resources = await createStepResources(device);
  const policy = presetPolicy('balanced', 'shadow');
  const encoder = await AttentionEncoder.create(resources, shape, fastestVariant(device, shape), policy);
  await expect(compileNoting(encoder, policy)).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    option: 'keys',
  });
  destroyStepResources(resources);
});
