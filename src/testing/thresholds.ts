import { fromFloat16, toFloat16 } from '../kernel/gpu/float16.ts';
import { upload } from '../kernel/gpu/transfer.ts';
import type { AttentionShape } from '../kernel/shape.ts';
import { createSiftAttention } from '../kernel/sift-attention.ts';
import { DEFAULT_TUNING, type Tuning } from '../kernel/step/tuning.ts';
import { createRandom, massThreshold, quantileIndex } from '../oracle/index.ts';
import { learnedPolicy, type Target, validatePolicy } from '../policy/index.ts';

const SHAPE: AttentionShape = { queryHeads: 2, kvHeads: 1, headSize: 4, dtype: 'f32' };
/** The second head's scores are these times the first's. */
const FACTORS = [1, -0.25];

/** Numbers that say which scores the kernel holds, and samples. */
type Holding = Pick<Tuning, 'learnWorkgroup' | 'learnHeld'>;

/** Whether the kernel's sample has a key, of a cache of so many. */
function sampled(key: number, length: number, { learnWorkgroup, learnHeld }: Holding): boolean {
  const vecs = Math.ceil(length / 64) * 8;
  const step = Math.ceil(vecs / (learnWorkgroup * learnHeld));
  const vec = Math.floor(key / 8);
  const word = Math.floor(vec / step / learnWorkgroup) % 4;
  return vec % step === 0 && (key % 8 === 2 * word || key % 8 === 2 * ((word + 2) % 4) + 1);
}

/** A score as it is stored for learning (wgsl/learn/score-codes.wgsl) by a device that rounds to nearest: |s| + 1 in f16, less 1. */
export function storedScore(s: number): number {
  const magnitude = Math.min(Math.fround(Math.abs(s) + 1), 65504);
  return (s < 0 ? -1 : 1) * (fromFloat16(toFloat16(magnitude)) - 1);
}

type Draw = (normal: number, key: number, length: number, holding: Holding) => number;

const SCORES: Record<string, Draw> = {
  normal: (x) => x,
  'far below zero, steep': (x) => 9 * x - 1000,
  'close together': (x) => 3 + x * 1e-3,
  'closer than the finest bins': (x) => 300 + x * 1e-5,
  equal: () => 1.5,
  'two values': (x) => (x > 0.3 ? 2 : -1),
  'more than the bins reach': (x) => 200 * x,
  'one far above': (x, key) => (key === 1 ? 500 : x),
  'a sample that misleads': (x, key, length, holding) => (sampled(key, length, holding) ? x + 20 : x),
  'a sample that misleads upwards a little': (x, key, length, holding) =>
    sampled(key, length, holding) ? x + 0.3 : x,
  'and downwards': (x, key, length, holding) => (sampled(key, length, holding) ? x - 0.3 : x),
};

/** Targets of which the exact thresholds are tested. */
export const THRESHOLD_TARGETS: readonly Target[] = [
  { kind: 'quantile', tau: 0.875 },
  { kind: 'quantile', tau: 1 / 128 },
  { kind: 'quantile', tau: 1 - 1 / 1024 },
  { kind: 'mass', epsilon: 0.05 },
];

/** Natural logarithm of the exact threshold among the stored scores. */
function expected(scores: Float64Array, target: Target): number {
  const top = scores.reduce((a, s) => Math.max(a, s), Number.NEGATIVE_INFINITY);
  const logSum = top + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - top), 0));
  const sorted = scores.map(storedScore).sort();
  if (target.kind === 'quantile') return sorted[quantileIndex(target.tau, sorted.length)]! - logSum;
  const p = sorted.map((s) => Math.exp(s - logSum));
  return Math.log(massThreshold(p, target.kind === 'mass' ? target.epsilon : 0));
}

interface Threshold {
  got: number;
  want: number;
  /** Largest magnitude of a score. */
  largest: number;
}

/** Thresholds of one dense step of two sequences, [sequence, head], beside what they should be. */
async function thresholds(
  device: GPUDevice,
  draw: Draw,
  target: Target,
  length: number,
  subgroups: boolean,
  tuning: Partial<Tuning>,
): Promise<Threshold[]> {
  // The fit to one step with the exponent 0 is its threshold.
  const exponent = { kind: 'fixed', beta: 0 } as const;
  const policy = validatePolicy({ ...learnedPolicy({ warmup: 1 }), target, exponent, refitEvery: 0 });
  const attention = await createSiftAttention(device, SHAPE, {
    policy,
    subgroups,
    batch: 2,
    tuning,
    selfTest: false,
  });
  const holding = { ...DEFAULT_TUNING, ...tuning };
  const lengths = [length, Math.ceil(length / 3)];
  const cache = new Float32Array(lengths.length * length * 4);
  const normals = createRandom(length).normals(lengths.length * length);
  for (const [i, x] of normals.entries()) cache[4 * i] = draw(x, i % length, length, holding);
  const q = [...FACTORS, ...FACTORS].flatMap((factor) => [factor, 0, 0, 0]);
  const keys = { buffer: upload(device, cache, 'f32') };
  const given = { buffer: upload(device, lengths, 'i32') };
  const tensors = {
    q: { buffer: upload(device, q, 'f32') },
    keys,
    values: keys,
    output: { buffer: upload(device, new Float32Array(q.length), 'f32') },
  };
  const commands = device.createCommandEncoder();
  const pass = commands.beginComputePass();
  const step = attention.beginStep({ length: { buffer: given, max: length }, capacity: length, scale: 1 });
  step.encode(pass, 0, tensors);
  pass.end();
  device.queue.submit([commands.finish()]);
  const got = (await attention.figures()).heads.map((head) => head.logAlpha);
  attention.destroy();
  for (const { buffer } of [tensors.q, keys, tensors.output, given]) buffer.destroy();
  return lengths.flatMap((keep, b) =>
    FACTORS.map((factor, h) => {
      const scores = Float64Array.from({ length: keep }, (_, i) => factor * cache[4 * (b * length + i)]!);
      const largest = scores.reduce((a, s) => Math.max(a, Math.abs(s)), 0);
      return { got: got[b * FACTORS.length + h]!, want: expected(scores, target), largest };
    }),
  );
}

/** Which of the learned thresholds of a target are not the exact ones, in words. */
export async function wrongThresholds(
  device: GPUDevice,
  target: Target,
  lengths: readonly number[],
  subgroups: boolean,
  tuning: Partial<Tuning> = {},
): Promise<string[]> {
  const wrong: string[] = [];
  for (const [name, draw] of Object.entries(SCORES)) {
    for (const length of lengths) {
      for (const { got, want, largest } of await thresholds(
        device,
        draw,
        target,
        length,
        subgroups,
        tuning,
      )) {
        // f32 beside f64; a mass is summed in 2^-31ths, and may end one score earlier or later.
        const within = 1e-6 * (4 + largest) + (target.kind === 'mass' ? 2e-3 * Math.abs(want) : 0);
        if (!(Math.abs(got - want) <= within)) wrong.push(`${name}, ${length}: ${got}, not ${want}`);
      }
    }
  }
  return wrong;
}
