import { SiftError } from '../../errors.ts';
import {
  type AttentionInputs,
  attentionScores,
  judgedLogProbabilities,
  quantileIndex,
  type Random,
  shadowLogProbabilities,
} from '../../oracle/index.ts';
import {
  type Keys,
  learnedPolicy,
  type Normaliser,
  probabilityPolicy,
  type StepPlan,
  type ThresholdPolicy,
  usesMoments,
  validatePolicy,
} from '../../policy/index.ts';
import { fromFloat16, toFloat16 } from '../gpu/float16.ts';
import type { AttentionShape, DType } from '../shape.ts';
import type { StepKind } from '../step/step-kinds.ts';

/** The error that a head's output may have against the f64 oracle, relative to its largest element. */
export const ERROR_BOUND = { f32: 1e-5, f16: 2e-3 } as const;

/**
 * Draws a threshold of the order of 1 / length that no row lies close to, so that rounding in f32 cannot
 * change which rows are kept.
 *
 * @param logProbabilities natural logarithms of the probabilities of all rows and heads
 * @returns a probability
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

/** How far scores must be from a threshold, in nats, for a screen in half precision to decide as f64 does. */
const SCREEN_MARGIN = 0.03;

/**
 * Draws those f16 K rows again that lie too close to a head's threshold, where a screen in half precision
 * could decide otherwise than f64. Changes `inputs.k`.
 *
 * @param logThresholds [batch, queryHeads], natural logarithms of probabilities
 * @param normaliser the log-normaliser that probabilities are judged with
 */
export function clearKeys(
  random: Random,
  inputs: AttentionInputs & { k: Float64Array },
  logThresholds: ArrayLike<number>,
  normaliser: Normaliser,
): void {
  const { k, queryHeads, kvHeads, headSize, capacity } = inputs;
  const group = queryHeads / kvHeads;
  // New keys move the log-normaliser, so that other rows may come close: again, but fewer each time.
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
 * The largest error of a head's output, relative to the largest element of that head. An f16 output below the
 * smallest normal number has only absolute precision, and is compared accordingly.
 *
 * @param got what a kernel wrote, [heads, headSize]
 * @param want what the oracle says, [heads, headSize]
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

const TAU = 0.875;
/** A policy that learns in its first step. With the exponent 0, the fit is the threshold of that step. */
const LEARNING = validatePolicy({
  ...learnedPolicy({ tau: TAU, warmup: 1 }),
  exponent: { kind: 'fixed', beta: 0 },
  refitEvery: 0,
});

/** How far, in nats, a learned threshold may be from the stored score: as far as scores in f32 may be off. */
export const THRESHOLD_BOUND = 1e-4;

/**
 * How far the thresholds that a `learn` step found are from the oracle's, in nats. Scores are stored as
 * codes, which round |s| + 1 to an f16 (wgsl/learn/score-codes.wgsl). A device may round up or down, so that
 * either f16 is right.
 *
 * @param heads what the heads have learned, [batch, queryHeads]
 */
export function learnedError(heads: readonly { logAlpha: number }[], inputs: AttentionInputs): number {
  const { capacity, lengths, queryHeads } = inputs;
  const { scores, logProbabilities } = attentionScores(inputs);
  return heads.reduce((worst, { logAlpha }, h) => {
    const logSum = scores[h * capacity]! - logProbabilities[h * capacity]!;
    const length = typeof lengths === 'number' ? lengths : lengths[Math.floor(h / queryHeads)]!;
    const sorted = scores.slice(h * capacity, h * capacity + length).sort();
    const score = sorted[quantileIndex(TAU, length)]!;
    const magnitude = Math.abs(score) + 1;
    const nearest = toFloat16(magnitude);
    const below = fromFloat16(nearest) > magnitude ? nearest - 1 : nearest;
    const got = (logAlpha + logSum) * (score < 0 ? -1 : 1) + 1;
    const error = Math.min(Math.abs(got - fromFloat16(below)), Math.abs(got - fromFloat16(below + 1)));
    return Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }, 0);
}

/** A step for the kernels of its kind, and the threshold that it must apply. */
export interface TestCase {
  kind: StepKind;
  policy: ThresholdPolicy;
  plan: StepPlan;
  /** The threshold, a probability that no row lies close to; 0 if every row is kept. */
  p: number;
}

/**
 * A test case for each kind of step, with the flags of the policy that the kernels are compiled for.
 *
 * @param inputs what the cases run on. For the `sift` case, f16 K rows that lie close to its threshold are
 *   drawn again in `inputs.k`.
 * @returns the cases in the order in which to run them
 */
export function testCases(
  kinds: readonly StepKind[],
  policy: ThresholdPolicy,
  inputs: AttentionInputs & { k: Float64Array },
  dtype: DType,
  random: Random,
): TestCase[] {
  // The sift case may change the keys. It is made first, so that the others are made for the final keys.
  const order: readonly StepKind[] = ['sift', 'shadow', 'exact', 'exactLearn', 'learn', 'dense'];
  return order
    .filter((kind) => kinds.includes(kind))
    .map((kind) => testCase(kind, policy, inputs, dtype, random))
    .reverse();
}

function testCase(
  kind: StepKind,
  policy: ThresholdPolicy,
  inputs: AttentionInputs & { k: Float64Array },
  dtype: DType,
  random: Random,
): TestCase {
  const plan = {
    step: 1,
    dense: kind === 'dense' || kind === 'learn',
    windowIndex: -1,
    fit: false,
    measure: false,
  };
  if (kind === 'dense') return { kind, policy: probabilityPolicy({ p: 0 }), plan, p: 0 };
  // A head that has learned nothing yet keeps every row.
  if (kind !== 'sift' && kind !== 'shadow' && kind !== 'exact')
    return { kind, policy: LEARNING, plan: { ...plan, windowIndex: 0, fit: true }, p: 0 };
  const normaliser = kind === 'exact' ? 'exact' : 'estimate';
  const keys = kind === 'shadow' ? 'shadow' : 'exact';
  const { lengths } = inputs;
  const length = typeof lengths === 'number' ? lengths : Math.max(...Array.from(lengths));
  const p = clearThreshold(random, judgedBy(inputs, normaliser, keys), length);
  if (dtype === 'f16' && kind === 'sift') {
    const heads = inputs.batch * inputs.queryHeads;
    clearKeys(random, inputs, new Float64Array(heads).fill(Math.log(p)), normaliser);
  }
  const { dropped, keepNewest } = policy;
  const shareGroup = policy.shareGroup || keys === 'shadow';
  const keepLargest = kind === 'exact' && policy.keepLargest;
  const tested = {
    ...probabilityPolicy({ p }),
    normaliser,
    keys,
    dropped,
    shareGroup,
    keepNewest,
    keepLargest,
  } as const;
  return { kind, policy: tested, plan: { ...plan, measure: usesMoments(policy) }, p };
}

/** Natural logarithms of all probabilities that are held against a threshold. */
function judgedBy(inputs: AttentionInputs, normaliser: Normaliser, keys: Keys): ArrayLike<number> {
  const scores = attentionScores(inputs);
  if (keys === 'exact') return judgedLogProbabilities(inputs, scores, normaliser);
  const { screened, exact } = shadowLogProbabilities(inputs, scores);
  return [...screened, ...exact];
}

/** What came of a test case. */
export interface TestOutcome {
  /** The largest error of a head's output, relative to its largest element. */
  error: number;
  /** How far learned thresholds are off, in nats; 0 where nothing is learned. */
  learnedError: number;
}

/**
 * Checks an outcome against {@link ERROR_BOUND} and {@link THRESHOLD_BOUND}.
 * @throws {SiftError} `SELF_TEST_FAILED` if it is out of bounds
 */
export function checkOutcome(kind: StepKind, { error, learnedError }: TestOutcome, dtype: DType): void {
  if (!(error < ERROR_BOUND[dtype])) {
    throw new SiftError(
      'SELF_TEST_FAILED',
      `The ${kind} step of this device differs from the reference by ${error.toExponential(2)}; allowed: ${ERROR_BOUND[dtype]}.`,
    );
  }
  if (!(learnedError < THRESHOLD_BOUND)) {
    throw new SiftError(
      'SELF_TEST_FAILED',
      `The thresholds that this device learns differ from the reference by ${learnedError.toExponential(2)} nats; allowed: ${THRESHOLD_BOUND}.`,
    );
  }
}
