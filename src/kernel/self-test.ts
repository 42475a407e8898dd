import { SiftError } from '../errors.ts';
import {
  type AttentionInputs,
  attentionScores,
  createRandom,
  judgedLogProbabilities,
  quantileIndex,
  type Random,
  siftedAttention,
} from '../oracle/index.ts';
import {
  learnedPolicy,
  type Normaliser,
  probabilityPolicy,
  type ThresholdPolicy,
  validatePolicy,
} from '../policy/index.ts';
import type { DeviceResources } from './encoder.ts';
import { fromFloat16, toFloat16 } from './float16.ts';
import { type AttentionShape, canSiftInOnePass, type DType } from './shape.ts';
import { createSiftAttention } from './sift-attention.ts';
import { download, upload } from './transfer.ts';
import type { KernelWay } from './ways.ts';

/** Relative error that a head's output may have against the f64 reference. */
export const ERROR_BOUND = { f32: 1e-5, f16: 2e-3 } as const;

/** Keys of the self-test: several splits, the last of them not full. */
const LENGTH = 301;

/**
 * A probability threshold around c / length that no row lies so close to that f32 rounding could decide otherwise.
 * @param logProbabilities natural logarithms of all probabilities it will be held against.
 */
export function clearThreshold(random: Random, logProbabilities: ArrayLike<number>, length: number): number {
  let best = 0.5 / length;
  let clearance = 0;
  for (let attempt = 0; attempt < 16; attempt++) {
    const log = Math.log((0.1 + 2 * random.uniform()) / length);
    let nearest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < logProbabilities.length; i++) {
      nearest = Math.min(nearest, Math.abs(logProbabilities[i]! - log));
    }
    if (nearest > clearance) {
      clearance = nearest;
      best = Math.exp(log);
    }
  }
  return Math.min(0.9, best);
}

/** Nats around a threshold that must be free of scores for a screen in half precision to decide as f64 does. */
const SCREEN_MARGIN = 0.03;

/**
 * Draws the f16 keys again that lie so close to a head's threshold that a screen in half precision could decide otherwise than f64.
 * Changes `inputs.k`.
 * @param logThresholds [batch, queryHeads], natural logarithms
 */
export function clearKeys(
  random: Random,
  inputs: AttentionInputs & { k: Float64Array },
  logThresholds: ArrayLike<number>,
  normaliser: Normaliser,
): void {
  const { k, queryHeads, kvHeads, headSize, capacity } = inputs;
  const group = queryHeads / kvHeads;
  // The normaliser moves with the keys, by less each time.
  for (let attempt = 0; attempt < 20; attempt++) {
    const judged = judgedLogProbabilities(inputs, attentionScores(inputs), normaliser);
    const close = new Set<number>();
    judged.forEach((log, i) => {
      const head = Math.floor(i / capacity);
      const row = Math.floor((head % queryHeads) / group) + Math.floor(head / queryHeads) * kvHeads;
      if (Math.abs(log - logThresholds[head]!) < SCREEN_MARGIN) close.add(row * capacity + (i % capacity));
    });
    if (close.size === 0) return;
    for (const row of close) {
      for (let d = 0; d < headSize; d++) k[row * headSize + d] = fromFloat16(toFloat16(random.normal()));
    }
  }
}

/**
 * Largest error over the heads, each relative to its largest element.
 * An f16 output below the smallest normal number has an absolute precision only.
 */
export function outputError(got: ArrayLike<number>, want: ArrayLike<number>, shape: AttentionShape): number {
  let error = 0;
  for (let head = 0; head < want.length / shape.headSize; head++) {
    let scale = 0;
    let worst = 0;
    for (let i = head * shape.headSize; i < (head + 1) * shape.headSize; i++) {
      scale = Math.max(scale, Math.abs(want[i]!));
      const difference = Math.abs(got[i]! - want[i]!);
      worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    }
    error = Math.max(error, worst / (Math.max(scale, shape.dtype === 'f16' ? 2 ** -14 : 0) || 1));
  }
  return error;
}

/**
 * The ways of a step that must be proved on a device: `one-pass` with moments of V for what is not read, where there are subgroups;
 * `learning` is dense, too.
 */
export const TEST_KINDS = ['dense', 'learning', 'two-pass', 'one-pass'] as const;
export type TestKind = (typeof TEST_KINDS)[number];

const TAU = 0.875;
/** Learns in its first step, where the fit with the exponent 0 is the threshold of that step. */
const LEARNING = validatePolicy({
  ...learnedPolicy({ tau: TAU, warmup: 1 }),
  exponent: { kind: 'fixed', beta: 0 },
  refitEvery: 0,
});

/** Nats that a learned threshold may be off from what is stored of the score: as much as f32 scores may. */
export const THRESHOLD_BOUND = 1e-4;

/**
 * How far the thresholds are off that heads have learned in the step of the kind `learning`, in nats, from what is stored of the score
 * (wgsl/score-codes.wgsl): of |s| + 1 the f16 below or above.
 */
export function learnedError(heads: readonly { logAlpha: number }[], inputs: AttentionInputs): number {
  const { capacity } = inputs;
  const { scores, logProbabilities } = attentionScores(inputs);
  return heads.reduce((worst, { logAlpha }, h) => {
    const logSum = scores[h * capacity]! - logProbabilities[h * capacity]!;
    const sorted = scores.slice(h * capacity, (h + 1) * capacity).sort();
    const score = sorted[quantileIndex(TAU, capacity)]!;
    const magnitude = Math.abs(score) + 1;
    const nearest = toFloat16(magnitude);
    const below = fromFloat16(nearest) > magnitude ? nearest - 1 : nearest;
    const got = (logAlpha + logSum) * (score < 0 ? -1 : 1) + 1;
    const error = Math.min(Math.abs(got - fromFloat16(below)), Math.abs(got - fromFloat16(below + 1)));
    return Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }, 0);
}

/**
 * A policy that makes a step go that way, and its threshold p (0: every row), which no row lies close to: f16 keys that do are drawn
 * again, in `inputs.k`.
 * @param onePass whether there is such a kernel; else the exact normaliser takes its place, as in the encoder.
 */
export function testPolicy(
  kind: TestKind,
  inputs: AttentionInputs & { k: Float64Array },
  dtype: DType,
  random: Random,
  onePass: boolean,
): { policy: ThresholdPolicy; p: number } {
  if (kind === 'dense') return { policy: probabilityPolicy({ p: 0 }), p: 0 };
  if (kind === 'learning') return { policy: LEARNING, p: 0 };
  const normaliser = kind === 'one-pass' && onePass ? 'estimate' : 'exact';
  const length = Math.max(
    ...(typeof inputs.lengths === 'number' ? [inputs.lengths] : Array.from(inputs.lengths)),
  );
  const judged = judgedLogProbabilities(inputs, attentionScores(inputs), normaliser);
  const p = clearThreshold(random, judged, length);
  if (dtype === 'f16' && normaliser === 'estimate') {
    const heads = inputs.batch * inputs.queryHeads;
    clearKeys(random, inputs, new Float64Array(heads).fill(Math.log(p)), normaliser);
  }
  const policy = probabilityPolicy({ p });
  if (kind === 'two-pass') return { policy, p };
  return { policy: { ...policy, normaliser, dropped: 'linear', keepLargest: false }, p };
}

/** The error of a device whose learned thresholds are off by so many nats. */
export function learnedWrong(nats: number): SiftError {
  return new SiftError(
    'SELF_TEST_FAILED',
    `The thresholds that this device learns differ from the reference by ${nats.toExponential(2)} nats; allowed: ${THRESHOLD_BOUND}.`,
  );
}

/**
 * Runs the kernels of a shape dense, learning, and sifted in either way, and holds them against the f64 reference.
 * @throws {SiftError} `SELF_TEST_FAILED` with the error found.
 */
export async function selfTest(
  resources: DeviceResources,
  shape: AttentionShape,
  { subgroups, tuning }: KernelWay,
): Promise<void> {
  const { device } = resources;
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const random = createRandom(20261124);
  const round = dtype === 'f16' ? (x: number) => fromFloat16(toFloat16(x)) : Math.fround;
  const draw = (count: number) => Float64Array.from({ length: count }, () => round(random.normal()));
  const [q, k, v] = [
    draw(queryHeads * headSize),
    draw(kvHeads * LENGTH * headSize),
    draw(kvHeads * LENGTH * headSize),
  ];
  const inputs = { q, k, v, batch: 1, queryHeads, kvHeads, headSize, capacity: LENGTH, lengths: LENGTH };
  // The last kind may change the keys.
  const onePass = canSiftInOnePass(shape, subgroups);
  const tests = TEST_KINDS.toReversed().map((kind) => ({
    kind,
    ...testPolicy(kind, inputs, dtype, random, onePass),
  }));

  const tensors = {
    q: { buffer: upload(device, q, dtype) },
    keys: { buffer: upload(device, k, dtype) },
    values: { buffer: upload(device, v, dtype) },
    output: { buffer: upload(device, new Float32Array(queryHeads * headSize), dtype) },
  };
  try {
    for (const { kind, policy, p } of tests) {
      const attention = await createSiftAttention(device, shape, { policy, subgroups, resources, tuning });
      const commands = device.createCommandEncoder();
      const pass = commands.beginComputePass();
      attention.beginStep({ length: LENGTH }).encode(pass, 0, tensors);
      pass.end();
      device.queue.submit([commands.finish()]);
      const got = await download(device, tensors.output.buffer, queryHeads * headSize, dtype);
      const learned = kind === 'learning' ? learnedError((await attention.figures()).heads, inputs) : 0;
      attention.destroy();
      const logs = new Float64Array(queryHeads).fill(Math.log(p));
      const error = outputError(got, siftedAttention(inputs, logs, policy).output, shape);
      if (!(error < ERROR_BOUND[dtype])) {
        throw new SiftError(
          'SELF_TEST_FAILED',
          `The ${kind} attention of this device differs from the reference by ${error.toExponential(2)}; allowed: ${ERROR_BOUND[dtype]}.`,
        );
      }
      if (!(learned < THRESHOLD_BOUND)) throw learnedWrong(learned);
    }
  } finally {
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
  }
}
