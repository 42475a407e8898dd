// Steps that choose rows by the shadow of K: against the f64 reference, code by code, while the cache grows, and with faults that must show.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  attentionScores,
  createRandom,
  encodeRow,
  type ShadowStatistics,
  shadowLogProbabilities,
  shadowStatistics,
  siftedAttention,
} from '../../oracle/index.ts';
import { channelSign, hadamard, scaleOf } from '../../oracle/shadow.ts';
import { CODE_STEP, presetPolicy, probabilityPolicy, validatePolicy } from '../../policy/index.ts';
import { describeCase, drawCase, runCase } from '../../testing/conformance.ts';
import { testDevice } from '../../testing/device.ts';
import { download, upload } from '../gpu/transfer.ts';
import type { AttentionShape } from '../shape.ts';
import { AttentionEncoder, createStepResources, destroyStepResources } from '../step/encoder.ts';
import { LayerState } from '../step/layer-state.ts';
import { codePlanes, codeVec, momentVecs } from '../text/constants.ts';
import type { WgslModule } from '../text/module.ts';
import * as wgsl from '../text/modules.ts';
import { HEAD_BYTES } from '../text/schema.ts';
import { selfTest } from './self-test.ts';
import { runStepCases } from './step-cases.ts';
import { clearThreshold, ERROR_BOUND, outputError } from './test-cases.ts';
import { canUseSubgroups, fastestVariant } from './variants.ts';

const POLICY = presetPolicy('balanced', 'shadow');

/** Keys of the longest sequence of the cases of a shape. All but one have more rows between the edge keys than there are samples. */
const LENGTHS = [66, 200, 311, 430, 511, 700];

/** How near a value may lie to a boundary of a code or a scale, in steps, so that rounding in f32 may put it on the other side. */
const BOUNDARY = 1e-4;

/** Storage words of four and of eight elements; vectors of codes of 32 and of 64 channels; blocks of the rotation of many sizes. */
const SHAPES: AttentionShape[] = [
  { queryHeads: 2, kvHeads: 2, headSize: 64, dtype: 'f32' },
  { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f16' },
  { queryHeads: 7, kvHeads: 1, headSize: 96, dtype: 'f16' },
  { queryHeads: 8, kvHeads: 1, headSize: 128, dtype: 'f16' },
  { queryHeads: 6, kvHeads: 3, headSize: 80, dtype: 'f32' },
  { queryHeads: 3, kvHeads: 3, headSize: 12, dtype: 'f16' },
];

describe('the shadow', () => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await testDevice();
  });

  test('random cases keep and read what the reference does', async ({ skip }) => {
    if (!canUseSubgroups(device)) skip();
    const wrong: string[] = [];
    let chosen = 0;
    for (const [i, shape] of SHAPES.entries()) {
      for (const [seed, maxLength] of LENGTHS.entries()) {
        const options = { subgroups: true, onePass: true, shadow: true, maxLength };
        const c = drawCase(100 * i + seed, shape, options);
        const { error, countsAgree, groupRows, groupTotal } = await runCase(device, c);
        if (groupRows < groupTotal) chosen++;
        if (!(error < ERROR_BOUND[shape.dtype]) || !countsAgree)
          wrong.push(`${describeCase(c)}: error ${error}, counts agree: ${countsAgree}`);
      }
    }
    console.log(`${chosen} of ${SHAPES.length * LENGTHS.length} cases leave rows unread`);
    expect(wrong).toEqual([]);
    // In a group of many heads some head wants almost every row of random keys. shadow-growth.gpu.test.ts has such groups with other keys.
    expect(chosen).toBeGreaterThanOrEqual((SHAPES.length * LENGTHS.length) / 2);
  });

  test('with attention sinks, rows before the keys, two sequences, and without products of packed bytes', async ({
    skip,
  }) => {
    if (!canUseSubgroups(device)) skip();
    const shape = { queryHeads: 4, kvHeads: 2, headSize: 64, dtype: 'f32', sinks: true } as const;
    for (const packedDot of [true, false]) {
      const variant = { ...fastestVariant(device, shape), packedDot };
      expect(await outcomes(device, shape, variant, [0, 37])).toEqual([]);
    }
  });

  test('codes and scales are the reference’s, bit for bit', async ({ skip }) => {
    if (!canUseSubgroups(device)) skip();
    for (const shape of SHAPES.slice(1, 5)) {
      const run = await grow(device, shape, [301]);
      const { kvHeads, headSize } = shape;
      const planes = codePlanes(shape);
      const vec = codeVec(shape);
      const scalesAt = kvHeads * run.groups * planes * 32 * vec;
      const wrong: string[] = [];
      let close = 0;
      for (let head = 0; head < kvHeads; head++) {
        const statistics = run.statistics[head]!;
        for (let row = 0; row < 301; row++) {
          const k = run.k.subarray(
            (head * run.capacity + row) * headSize,
            (head * run.capacity + row + 1) * headSize,
          );
          const want = encodeRow(k, statistics);
          const near = nearBoundary(k, statistics, scaleOf(want.scale));
          const word = scalesAt + (head * run.groups * 32) / 4 + (row >> 2);
          const scale = (run.shadow[word]! >>> (8 * (row % 4))) & 255;
          // The codes of a row depend on its scale, so that nothing can be said of them where the scale is uncertain.
          if (near.scale) {
            close += headSize;
            continue;
          }
          if (scale !== want.scale) wrong.push(`head ${head} row ${row}: scale ${scale}, not ${want.scale}`);
          for (let d = 0; d < headSize; d++) {
            if (near.codes[d]) {
              close++;
              continue;
            }
            const cw = d >> 4;
            const at = ((head * run.groups + (row >> 5)) * planes + Math.floor(cw / vec)) * 32 * vec;
            const j = d % 16;
            const bits = run.shadow[at + (row % 32) * vec + (cw % vec)]!;
            const code = (bits >>> (8 * (j % 4) + 2 * (j >> 2))) & 3;
            if (code !== want.codes[d])
              wrong.push(`head ${head} row ${row} channel ${d}: ${code}, not ${want.codes[d]}`);
          }
        }
      }
      const compared = kvHeads * 301 * headSize;
      console.log(`heads of ${headSize}: ${close} of ${compared} codes lie too near a boundary`);
      expect(wrong).toEqual([]);
      expect(close).toBeLessThan(compared / 1000);
    }
  });

  test('rows are encoded as the cache grows, with the statistics that were measured when it was encoded as a whole', async ({
    skip,
  }) => {
    if (!canUseSubgroups(device)) skip();
    const shape = { queryHeads: 4, kvHeads: 2, headSize: 64, dtype: 'f32' } as const;
    // From 1,025 to 1,280 rows the buffer stays the same. 1,099 brings 69 rows that are not encoded yet, the steps after it none, 1,150
    // some again; at 1,281 everything is encoded anew.
    const { errors } = await grow(device, shape, [1030, 1031, 1099, 1100, 1147, 1150, 1281, 1282]);
    for (const error of errors) expect(error).toBeLessThan(ERROR_BOUND.f32);
  }, 60_000);

  test('rows that the statistics do not describe are read, and their scores from the shadow are not made use of', async ({
    skip,
  }) => {
    if (!canUseSubgroups(device)) skip();
    const shape = { queryHeads: 4, kvHeads: 2, headSize: 64, dtype: 'f32' } as const;
    // From row 1,030 on keys are four times as large, as if those before had a quarter of the deviation. Not larger, because then hardly
    // any row but one would have a probability that shows.
    const larger = { from: 1030, times: 4 };
    const { errors } = await grow(device, shape, [1030, 1099, 1200], { larger });
    for (const error of errors) expect(error).toBeLessThan(ERROR_BOUND.f32);
    // A kernel that takes the scores of such rows for what they are does not pass. Kernels are kept by their tuning.
    const restore = replaceText(wgsl.shadowScores, 'byte > LARGEST_SCALE', 'false');
    try {
      const { errors: wrong } = await grow(device, shape, [1030, 1099, 1200], { larger, shadowChunk: 499 });
      expect(Math.max(...wrong)).toBeGreaterThan(ERROR_BOUND.f32);
    } finally {
      restore();
    }
  }, 60_000);

  describe('faults that must show', () => {
    const faults: Record<string, [module: WgslModule, from: string, to: string]> = {
      'the scale of another row': [wgsl.shadowScores, '(8u * (row % 4u))', '(8u * ((row + 1u) % 4u))'],
      'keys keep their mean': [wgsl.shadowEncode, '- (*mean)[n * V4])', '- 0.0 * (*mean)[n * V4])'],
      'queries lack the mean key': [wgsl.shadowQuery, 'total.x * to_base_2', '0.0 * total.x'],
      'keys without the signs': [wgsl.shadowEncode, 'channel_signs(4u * vec) /', 'vec4f(1.0) /'],
      'deviations not taken out': [
        wgsl.shadowEncode,
        '/ deviation(batch, kv_head, vec)',
        '* deviation(batch, kv_head, vec)',
      ],
      'a threshold a hundred times as high': [wgsl.siftNormaliser, '+ eta) *', '+ eta + 4.6) *'],
      'the shadow of another head': [
        wgsl.shadowScores,
        'codes_begin(at.batch, at.kv_head)',
        'codes_begin(at.batch, (at.kv_head + 1u) % KV_HEADS)',
      ],
      'a newest row that is stale': [
        wgsl.shadow,
        'sample_key(edge, share.edge_count, 0u, share.length)',
        'min(sample_key(edge, share.edge_count, 0u, share.length), share.length - 2u)',
      ],
      'rows noted in one another’s place': [
        wgsl.shadow,
        'found + countOneBits(bits & ((1u << at.tl) - 1u))',
        'found',
      ],
      'the count of rows kept at the step before': [
        wgsl.combineFigures,
        'bitcast<u32>(log_eta), kept_rows,',
        'bitcast<u32>(log_eta), layer_state[at + 1u].y,',
      ],
      'the count of rows read at the step before': [wgsl.combineFigures, 'whole.z = union_rows;', ''],
      'the last rows not encoded': [wgsl.shadowEncode, '&& row < rows)', '&& row < rows - 80u)'],
    };

    test('the self-test gives up the shadow alone, and keeps the variant', async ({ skip }) => {
      if (!canUseSubgroups(device)) skip();
      const shape = { queryHeads: 4, kvHeads: 2, headSize: 32, dtype: 'f32' } as const;
      const resources = await createStepResources(device);
      const variant = fastestVariant(device, shape);
      const fault = faults['the shadow of another head']!;
      let restore = () => {};
      const tested = async (chunk: number) =>
        (
          await selfTest(
            resources,
            shape,
            { ...variant, tuning: { ...variant.tuning, shadowChunk: chunk } },
            POLICY,
          )
        ).hasShadow;
      try {
        expect(await tested(600)).toBe(true);
        restore = replaceText(...fault);
        expect(await tested(601)).toBe(false);
      } finally {
        restore();
        destroyStepResources(resources);
      }
    });

    test.for([['none', undefined], ...Object.entries(faults)] as const)(
      '%s',
      async ([name, fault], { skip }) => {
        if (!canUseSubgroups(device)) skip();
        const shape = { queryHeads: 4, kvHeads: 2, headSize: 32, dtype: 'f32' } as const;
        const variant = fastestVariant(device, shape);
        // Kernels are kept by their tuning: each fault is compiled by itself.
        const number = Object.keys(faults).indexOf(name);
        const tuning = { ...variant.tuning, shadowChunk: 500 + number };
        const restore = fault ? replaceText(...fault) : () => {};
        try {
          const wrong = await outcomes(device, shape, { ...variant, tuning }, [0]);
          if (fault) expect(wrong.length).toBeGreaterThan(0);
          else expect(wrong).toEqual([]);
        } finally {
          restore();
        }
      },
    );
  });
});

/**
 * Changes what a module says.
 * @returns what undoes it
 */
function replaceText(module: WgslModule, from: string, to: string): () => void {
  const own = Object.getOwnPropertyDescriptor(module, 'text')!;
  expect(module.text).toContain(from);
  Object.defineProperty(module, 'text', { configurable: true, value: module.text.replaceAll(from, to) });
  return () => Object.defineProperty(module, 'text', own);
}

/** Whether the scale of a row, and which of its codes, lie within BOUNDARY of where the next begins. */
function nearBoundary(k: Float64Array, { mean, deviation }: ShadowStatistics, scale: number) {
  const rotated = k.map((x, d) => (channelSign(d) * (x - mean[d]!)) / deviation[d]!);
  hadamard(rotated);
  const square = rotated.reduce((sum, z) => sum + z * z, 0) / k.length;
  const eighths = 4 * Math.log2(square);
  return {
    // A scale is rounded, and a code is rounded down.
    scale: Math.abs(eighths - Math.floor(eighths) - 0.5) < BOUNDARY,
    codes: Array.from(rotated, (z) => {
      const steps = z / (CODE_STEP * scale);
      return Math.abs(steps - Math.round(steps)) < BOUNDARY;
    }),
  };
}

/** Steps of the kind `shadow` that differ from the reference, in words. */
async function outcomes(
  device: GPUDevice,
  shape: AttentionShape,
  variant: ReturnType<typeof fastestVariant>,
  firstKeys: readonly number[],
): Promise<string[]> {
  const resources = await createStepResources(device);
  const encoder = await AttentionEncoder.create(resources, shape, variant, POLICY);
  const wrong: string[] = [];
  for (const firstKey of firstKeys) {
    const given = {
      seed: 11 + firstKey,
      kinds: ['shadow'],
      policy: POLICY,
      lengths: [430, 301],
      firstKey,
    } as const;
    for await (const { kind, error, countsAgree } of runStepCases(encoder, given)) {
      if (!(error < ERROR_BOUND[shape.dtype]) || !countsAgree)
        wrong.push(`${kind} from ${firstKey}: error ${error}, counts agree: ${countsAgree}`);
    }
  }
  destroyStepResources(resources);
  return wrong;
}

/**
 * A cache that grows, with a step at each of the lengths: how far each is from the reference, whose statistics are those of the rows at the
 * last length at which everything was encoded; and the shadow as it is after the last step.
 *
 * @param given.larger the row from which on keys are so many times as large
 * @param given.shadowChunk of the kernels, which are kept by it
 */
async function grow(
  device: GPUDevice,
  shape: AttentionShape,
  lengths: readonly number[],
  given: { larger?: { from: number; times: number }; shadowChunk?: number } = {},
) {
  const { larger = { from: Number.POSITIVE_INFINITY, times: 1 }, shadowChunk } = given;
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const random = createRandom(5);
  const capacity = lengths.at(-1)! + 3;
  const rounded = async (count: number, times: (row: number) => number = () => 1) => {
    const normals = random.normals(count).map((x, i) => x * times(Math.floor(i / headSize) % capacity));
    const buffer = upload(device, normals, dtype);
    return { buffer, values: Float64Array.from(await download(device, buffer, count, dtype)) };
  };
  const q = await rounded(queryHeads * headSize);
  const k = await rounded(kvHeads * capacity * headSize, (row) => (row < larger.from ? 1 : larger.times));
  const v = await rounded(kvHeads * capacity * headSize);
  const output = upload(device, new Float32Array(queryHeads * headSize), dtype);
  const resources = await createStepResources(device);
  const fastest = fastestVariant(device, shape);
  const variant = { ...fastest, tuning: { ...fastest.tuning, ...(shadowChunk && { shadowChunk }) } };
  const encoder = await AttentionEncoder.create(resources, shape, variant, POLICY);
  const state = new LayerState(device, shape, 1, POLICY);
  const errors: number[] = [];
  let statistics: ShadowStatistics[] = [];
  let groups = 0;
  for (const length of lengths) {
    const inputs = {
      q: q.values,
      k: k.values,
      v: v.values,
      batch: 1,
      queryHeads,
      kvHeads,
      headSize,
      capacity,
      lengths: length,
    };
    const resolved = {
      ...inputs,
      lengths: [length],
      scale: 1 / Math.sqrt(headSize),
      groupSize: queryHeads / kvHeads,
    };
    const measure = () => Array.from({ length: kvHeads }, (_, head) => shadowStatistics(resolved, 0, head));
    const before = groups;
    const policyOf = (p: number) =>
      validatePolicy({
        ...probabilityPolicy({ p }),
        normaliser: 'estimate',
        keys: 'shadow',
        dropped: 'none',
        keepLargest: false,
      });
    // The reference's statistics change where the buffer does.
    const prepared = (p: number) =>
      encoder.prepare({
        ...{
          batch: 1,
          lengths: { buffer: resources.zeros },
          lengthBias: length,
          maxLength: length,
          capacity,
        },
        ...{ scale: resolved.scale, policy: policyOf(p) },
        plan: { step: 2, dense: false, windowIndex: -1, fit: false, measure: false },
      });
    groups = prepared(0.5).geometry.shadowGroups;
    if (groups !== before) statistics = measure();
    const { screened, exact } = shadowLogProbabilities(inputs, attentionScores(inputs), statistics);
    const p = clearThreshold(random, [...screened, ...exact], length);
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    const step = prepared(p);
    encoder.attend(pass, step, { q, keys: k, values: v }, state);
    encoder.combine(pass, step, { buffer: output }, state);
    pass.end();
    device.queue.submit([commands.finish()]);
    const got = await download(device, output, queryHeads * headSize, dtype);
    const logs = new Float64Array(queryHeads).fill(Math.log(p));
    errors.push(
      outputError(got, siftedAttention(inputs, logs, { ...policyOf(p), statistics }).output, shape),
    );
  }
  const { buffer } = state.shadow.get(groups) as { buffer: GPUBuffer };
  const shadow = new Uint32Array((await download(device, buffer, buffer.size / 4, 'f32')).buffer);
  // What the kernel measured lies behind the heads' states and the moments.
  const layer = await download(device, state.heads, state.heads.size / 4, 'f32');
  const at = (queryHeads * HEAD_BYTES) / 4 + kvHeads * momentVecs(shape) * 4;
  const measured = Array.from({ length: kvHeads }, (_, head) => {
    const begin = at + head * 2 * headSize;
    return {
      mean: layer.slice(begin, begin + headSize),
      deviation: layer.slice(begin + headSize, begin + 2 * headSize),
    };
  });
  state.destroy();
  destroyStepResources(resources);
  return { errors, shadow, statistics: measured, k: k.values, capacity, groups };
}
