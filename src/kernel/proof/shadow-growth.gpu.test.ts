// The shadow of a cache that grows by a row at each step, as in a conversation: its steps against the f64 reference, which has the
// statistics that the kernels are to have, those of the step at which the whole cache was last encoded.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type AttentionInputs,
  attentionScores,
  createRandom,
  type Random,
  type ShadowStatistics,
  shadowLogProbabilities,
  shadowStatistics,
  siftedAttention,
} from '../../oracle/index.ts';
import {
  ESTIMATE_KEYS,
  presetPolicy,
  probabilityPolicy,
  type ThresholdPolicy,
  validatePolicy,
} from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import { fromFloat16, toFloat16 } from '../gpu/float16.ts';
import { download, upload } from '../gpu/transfer.ts';
import type { AttentionShape } from '../shape.ts';
import { AttentionEncoder, createStepResources, destroyStepResources } from '../step/encoder.ts';
import { LayerState } from '../step/layer-state.ts';
import { shadowGroups } from '../step/shadow.ts';
import { clearThreshold, ERROR_BOUND, outputError } from './test-cases.ts';
import { canUseSubgroups, fastestVariant } from './variants.ts';

const POLICY = presetPolicy('balanced', 'shadow');
const STEPS = 120;
/** Of so many steps one is held against the reference, which takes longer than the kernels. What a step encodes stays for those after it. */
const COMPARED = 5;
/** Queries are so many times as long as random ones, so that most rows have little probability and are not read. */
const PEAKED = 5;
/** Fills the rows that no step has appended yet. A kernel that read one would be far off. */
const FOREIGN = 60000;

interface Growth {
  shape: AttentionShape;
  /** Rows of the cache at the first step, which are the prompt's. */
  prompt: number;
  /** Keys of a sliding window that is full from the first step on, or all rows. */
  window?: number;
}

describe('the shadow of a cache that grows', () => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await testDevice();
  });

  test.for<[name: string, growth: Growth]>([
    [
      'all rows are keys, f32',
      { shape: { queryHeads: 4, kvHeads: 2, headSize: 64, dtype: 'f32' }, prompt: 450 },
    ],
    [
      'groups of seven, f16',
      { shape: { queryHeads: 7, kvHeads: 1, headSize: 96, dtype: 'f16' }, prompt: 330 },
    ],
    [
      'groups of eight, f16',
      { shape: { queryHeads: 8, kvHeads: 1, headSize: 128, dtype: 'f16' }, prompt: 260 },
    ],
    [
      'a window that moves, f32',
      { shape: { queryHeads: 4, kvHeads: 2, headSize: 64, dtype: 'f32' }, prompt: 450, window: 203 },
    ],
  ])(`${STEPS} steps: %s`, async ([, growth], { skip }) => {
    if (!canUseSubgroups(device)) skip();
    const { wrong, anew, dropped } = await grow(device, growth);
    console.log(`encoded anew at ${anew} rows; ${Math.round(100 * dropped)}% of the rows were not read`);
    expect(wrong).toEqual([]);
    // The reference has other statistics where the buffer is made anew. Between these steps rows were appended and encoded by themselves.
    expect(anew.length).toBeGreaterThan(1);
    const ends = [...anew.slice(1), growth.prompt + STEPS];
    const longest = Math.max(...anew.map((rows, i) => ends[i]! - rows));
    expect(longest).toBeGreaterThan(ESTIMATE_KEYS.newest + 1);
    // Steps that read every row would say nothing about the shadow.
    expect(dropped).toBeGreaterThan(0.2);
  });
});

/** Rows of K or V of one sequence, [kvHeads, capacity, headSize], and a buffer that has those that were appended. */
class GrowingRows {
  readonly buffer: GPUBuffer;
  private readonly source: GPUBuffer;

  constructor(
    private readonly device: GPUDevice,
    readonly values: Float64Array,
    private readonly shape: AttentionShape,
    private readonly capacity: number,
  ) {
    this.source = upload(device, values, shape.dtype);
    this.buffer = upload(device, new Float64Array(values.length).fill(FOREIGN), shape.dtype);
  }

  /** Appends the rows from `first` to `end`, without the latter. */
  append(first: number, end: number): void {
    const { device, shape, capacity } = this;
    const row = shape.headSize * (shape.dtype === 'f16' ? 2 : 4);
    const commands = device.createCommandEncoder();
    for (let head = 0; head < shape.kvHeads; head++) {
      const at = (head * capacity + first) * row;
      commands.copyBufferToBuffer(this.source, at, this.buffer, at, (end - first) * row);
    }
    device.queue.submit([commands.finish()]);
  }

  /** The rows as the reference takes them, from a first key on. Those behind the last key are not looked at. */
  from(firstKey: number): Float64Array {
    const moved = new Float64Array(this.values.length);
    moved.set(this.values.subarray(firstKey * this.shape.headSize));
    return moved;
  }

  destroy(): void {
    this.source.destroy();
    this.buffer.destroy();
  }
}

/** A policy that chooses rows by the shadow, with a threshold to which no row lies so close that rounding in f32 could decide. */
function clearPolicy(
  inputs: AttentionInputs & { lengths: readonly [number] },
  statistics: readonly ShadowStatistics[],
  random: Random,
): { policy: ThresholdPolicy; p: number } {
  const { screened, exact } = shadowLogProbabilities(inputs, attentionScores(inputs), statistics);
  const p = clearThreshold(random, [...screened, ...exact], inputs.lengths[0]);
  const flags = { normaliser: 'estimate', keys: 'shadow', dropped: 'renormalise' } as const;
  return { policy: validatePolicy({ ...probabilityPolicy({ p }), ...flags, keepLargest: false }), p };
}

/**
 * Runs {@link STEPS} steps, each with a row more than the one before.
 *
 * @returns in words which steps differ from the reference, the numbers of rows at which everything was encoded anew, and the share of the
 *   rows that were not read
 */
async function grow(device: GPUDevice, { shape, prompt, window }: Growth) {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const random = createRandom(prompt);
  const round = dtype === 'f16' ? (x: number) => fromFloat16(toFloat16(x)) : Math.fround;
  const draw = (count: number, factor = 1) =>
    Float64Array.from({ length: count }, () => round(factor * random.normal()));
  const capacity = prompt + STEPS + 2;
  const keys = new GrowingRows(device, draw(kvHeads * capacity * headSize), shape, capacity);
  const values = new GrowingRows(device, draw(kvHeads * capacity * headSize), shape, capacity);
  const resources = await createStepResources(device);
  const encoder = await AttentionEncoder.create(resources, shape, fastestVariant(device, shape), POLICY);
  const state = new LayerState(device, shape, 1, POLICY);
  const output = upload(device, new Float32Array(queryHeads * headSize), dtype);
  const wrong: string[] = [];
  const anew: number[] = [];
  let statistics: ShadowStatistics[] = [];
  let chosen = { policy: POLICY, p: 0 };
  const sum = { read: 0, keys: 0 };
  for (let rows = prompt; rows < prompt + STEPS; rows++) {
    const appended = rows === prompt ? 0 : rows - 1;
    keys.append(appended, rows);
    values.append(appended, rows);
    const length = window ?? rows;
    const firstKey = rows - length;
    const inputs = {
      q: draw(queryHeads * headSize, PEAKED),
      k: keys.from(firstKey),
      v: values.from(firstKey),
      ...{ batch: 1, queryHeads, kvHeads, headSize, capacity, lengths: [length] as const },
      ...{ scale: 1 / Math.sqrt(headSize), groupSize: queryHeads / kvHeads },
    };
    if (rows === prompt || shadowGroups(rows) !== shadowGroups(rows - 1)) {
      anew.push(rows);
      statistics = Array.from({ length: kvHeads }, (_, head) => shadowStatistics(inputs, 0, head));
    }
    const compares = (rows - prompt) % COMPARED === 0;
    if (compares) chosen = clearPolicy(inputs, statistics, random);
    const q = upload(device, inputs.q, dtype);
    const step = encoder.prepare({
      batch: 1,
      lengths: { buffer: resources.zeros },
      ...{ lengthBias: length, maxLength: length, capacity, firstKey, scale: inputs.scale },
      policy: chosen.policy,
      plan: { step: rows - prompt + 1, dense: false, windowIndex: -1, fit: false, measure: false },
    });
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    const layer = { q: { buffer: q }, keys: { buffer: keys.buffer }, values: { buffer: values.buffer } };
    encoder.attend(pass, step, layer, state);
    encoder.combine(pass, step, { buffer: output }, state);
    pass.end();
    device.queue.submit([commands.finish()]);
    const got = await download(device, output, queryHeads * headSize, dtype);
    const { heads, groups } = await state.read();
    q.destroy();
    if (!compares) continue;
    const logs = Array<number>(queryHeads).fill(Math.log(chosen.p));
    const want = siftedAttention(inputs, logs, { ...chosen.policy, statistics });
    const error = outputError(got, want.output, shape);
    const countsAgree =
      heads.every(({ lastKept }, head) => lastKept === want.keptRows[head]) &&
      groups.every(({ lastUnion }, group) => lastUnion === want.groupRows[group]);
    if (!(error < ERROR_BOUND[dtype]) || !countsAgree)
      wrong.push(`${rows} rows, keys from ${firstKey}: error ${error}, counts agree: ${countsAgree}`);
    sum.read += want.groupRows.reduce((a, b) => a + b, 0);
    sum.keys += kvHeads * length;
  }
  for (const owned of [keys, values, output, state]) owned.destroy();
  destroyStepResources(resources);
  return { wrong, anew, dropped: 1 - sum.read / sum.keys };
}
