import { beforeAll, describe, expect, test } from 'vitest';
import { createRandom } from '../reference/index.ts';
import { testDevice } from '../testing/device.ts';
import {
  learnedPolicy,
  massThreshold,
  quantileIndex,
  type Target,
  validatePolicy,
} from '../tracker/index.ts';
import { canUseSubgroups } from './pipelines.ts';
import type { AttentionShape } from './shape.ts';
import { createSiftAttention } from './sift-attention.ts';
import { upload } from './transfer.ts';

const SHAPE: AttentionShape = { queryHeads: 2, kvHeads: 1, headSize: 4, dtype: 'f32' };
/** The second head's scores are these times the first's. */
const FACTORS = [1, -0.25];
/** 4,096 keys that a workgroup holds; lengths around it and around what is not sampled. */
const TUNING = { learnWorkgroup: 64, learnHeld: 16 };
const HELD_KEYS = 4 * TUNING.learnWorkgroup * TUNING.learnHeld;
const LENGTHS = [1, 3, 130, 4095, 4096, 4097, 9001, 20_000];

/** Whether the kernel's sample has a key, of a cache of so many. */
function sampled(key: number, length: number): boolean {
  const vecs = Math.ceil(length / 64) * 16;
  const step = Math.ceil((4 * vecs) / HELD_KEYS);
  const vec = Math.floor(key / 4);
  return vec % step === 0 && key % 4 === Math.floor(vec / step / TUNING.learnWorkgroup) % 4;
}

const SCORES: Record<string, (x: number, key: number, length: number) => number> = {
  normal: (x) => x,
  'far below zero, steep': (x) => 9 * x - 1000,
  'close together': (x) => 3 + x * 1e-3,
  'closer than the finest bins': (x) => 300 + x * 1e-5,
  equal: () => 1.5,
  'two values': (x) => (x > 0.3 ? 2 : -1),
  'more than the bins reach': (x) => 200 * x,
  'one far above': (x, key) => (key === 1 ? 500 : x),
  'a sample that misleads': (x, key, length) => (sampled(key, length) ? x + 20 : x),
};

const TARGETS: Target[] = [
  { kind: 'quantile', tau: 0.875 },
  { kind: 'quantile', tau: 1 / 128 },
  { kind: 'quantile', tau: 1 - 1 / 1024 },
  { kind: 'mass', epsilon: 0.05 },
];

/** log of the exact threshold. */
function expected(scores: Float64Array, target: Target): number {
  const sorted = scores.toSorted();
  const top = sorted.at(-1)!;
  const logSum = top + Math.log(sorted.reduce((sum, s) => sum + Math.exp(s - top), 0));
  if (target.kind === 'quantile') return sorted[quantileIndex(target.tau, sorted.length)]! - logSum;
  const p = sorted.map((s) => Math.exp(s - logSum));
  return Math.log(massThreshold(p, target.kind === 'mass' ? target.epsilon : 0));
}

describe('exact thresholds on the GPU', () => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await testDevice();
  });

  /** Thresholds of one dense step, [sequence, head], beside what they should be. */
  async function thresholds(name: string, target: Target, length: number, subgroups: boolean) {
    // The fit to one step with the exponent 0 is its threshold.
    const exponent = { kind: 'fixed', beta: 0 } as const;
    const policy = validatePolicy({ ...learnedPolicy({ warmup: 1 }), target, exponent, refitEvery: 0 });
    const lengths = [length, Math.ceil(length / 3)];
    const random = createRandom(length);
    const cache = new Float32Array(lengths.length * length * 4);
    const normals = random.normals(lengths.length * length);
    for (const [i, x] of normals.entries()) cache[4 * i] = SCORES[name]!(x, i % length, length);
    const q = [...FACTORS, ...FACTORS].flatMap((factor) => [factor, 0, 0, 0]);
    const keys = upload(device, cache, 'f32');
    const tensors = {
      q: { buffer: upload(device, q, 'f32') },
      keys: { buffer: keys },
      values: { buffer: keys },
      output: { buffer: upload(device, new Float32Array(q.length), 'f32') },
    };
    const given = { buffer: upload(device, lengths, 'i32') };
    const attention = await createSiftAttention(device, SHAPE, {
      policy,
      subgroups,
      batch: 2,
      tuning: TUNING,
    });
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    const step = attention.beginStep({ length: { buffer: given, max: length }, capacity: length, scale: 1 });
    step.encode(pass, 0, tensors);
    pass.end();
    device.queue.submit([commands.finish()]);
    const got = (await attention.figures()).heads.map((head) => head.logAlpha);
    attention.destroy();
    for (const buffer of [tensors.q.buffer, keys, tensors.output.buffer, given.buffer]) buffer.destroy();
    const want = lengths.flatMap((keep, b) =>
      FACTORS.map((factor) => {
        const scores = Float64Array.from({ length: keep }, (_, i) => factor * cache[4 * (b * length + i)]!);
        return { log: expected(scores, target), largest: Math.max(...scores.map(Math.abs)) };
      }),
    );
    return want.map(({ log, largest }, i) => ({ got: got[i]!, want: log, largest }));
  }

  for (const subgroups of [true, false]) {
    for (const target of TARGETS) {
      test(`${JSON.stringify(target)}, ${subgroups ? 'with' : 'without'} subgroups`, async ({ skip }) => {
        if (subgroups && !canUseSubgroups(device)) skip();
        const wrong: string[] = [];
        for (const name of Object.keys(SCORES)) {
          for (const length of LENGTHS) {
            for (const { got, want, largest } of await thresholds(name, target, length, subgroups)) {
              // f32 beside f64; a mass is summed in 2^-31ths, and may end one score earlier or later.
              const within = 1e-6 * (4 + largest) + (target.kind === 'mass' ? 2e-3 * Math.abs(want) : 0);
              if (!(Math.abs(got - want) <= within)) wrong.push(`${name}, ${length}: ${got}, not ${want}`);
            }
          }
        }
        expect(wrong).toEqual([]);
      }, 60_000);
    }
  }
});
