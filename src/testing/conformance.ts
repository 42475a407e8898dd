import { fromFloat16, toFloat16 } from '../kernel/gpu/float16.ts';
import { download, upload } from '../kernel/gpu/transfer.ts';
import { clearKeys, clearThreshold, outputError } from '../kernel/proof/test-cases.ts';
import { type AttentionShape, canSiftInOnePass, type DType } from '../kernel/shape.ts';
import { createSiftAttention } from '../kernel/sift-attention.ts';
import type { Tuning } from '../kernel/step/tuning.ts';
import {
  attentionScores,
  createRandom,
  judgedLogProbabilities,
  type Random,
  shadowLogProbabilities,
  siftedAttention,
} from '../oracle/index.ts';
import { type ThresholdPolicy, validatePolicy } from '../policy/index.ts';

/** How the scores of a case are spread over the keys. */
export type Distribution = 'random' | 'uniform' | 'one-hot' | 'peaked';

/** One comparison of the kernels with the f64 reference. */
export interface Case {
  seed: number;
  shape: AttentionShape;
  batch: number;
  capacity: number;
  lengths: number[];
  distribution: Distribution;
  subgroups: boolean;
  policy: ThresholdPolicy;
  /** Other than the device's own. */
  tuning?: Partial<Tuning>;
  /** Natural logarithm of the threshold that the policy amounts to, one for all heads of a sequence: [batch]. */
  logThresholds: number[];
}

export interface Outcome {
  /** Largest error of a head's output, over its largest element (or over the mean |V| where the head keeps nothing). */
  error: number;
  /** Whether the rows kept per head and read per group are those of the reference. */
  countsAgree: boolean;
  keptRows: number;
  totalRows: number;
  /** Rows that the groups of the reference read, of `groupTotal`. */
  groupRows: number;
  groupTotal: number;
}

const HEAD_SIZES = [4, 8, 12, 20, 32, 40, 64, 64, 80, 96, 128, 128, 160, 192, 256];
const GROUPS = [1, 2, 3, 4, 4, 5, 7, 8, 9, 16];

function tensors(random: Random, c: Omit<Case, 'policy' | 'logThresholds' | 'tuning'>) {
  const { shape, batch, capacity, lengths, distribution } = c;
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const spread = distribution === 'uniform' ? 0 : distribution === 'peaked' ? 3 : 1;
  const round = dtype === 'f16' ? (x: number) => fromFloat16(toFloat16(x)) : Math.fround;
  const q = Float64Array.from({ length: batch * queryHeads * headSize }, () =>
    round(random.normal() * spread),
  );
  const size = batch * kvHeads * capacity * headSize;
  const k = Float64Array.from({ length: size }, () => round(random.normal()));
  const v = Float64Array.from({ length: size }, () => round(random.normal()));
  if (distribution === 'one-hot') {
    // One key of every KV head points along the first query of its group, far from all others.
    for (let b = 0; b < batch; b++) {
      for (let h = 0; h < kvHeads; h++) {
        const key = random.integer(lengths[b]!);
        for (let d = 0; d < headSize; d++) {
          const at = ((b * kvHeads + h) * capacity + key) * headSize + d;
          k[at] = round(6 * q[(b * queryHeads + (h * queryHeads) / kvHeads) * headSize + d]!);
        }
      }
    }
  }
  return { q, k, v };
}

/** Draws a shape; the same seed gives the same shape. */
export function drawShape(seed: number, dtype?: DType): AttentionShape {
  const random = createRandom(seed * 7919 + 1);
  const pick = <T>(list: readonly T[]): T => list[random.integer(list.length)]!;
  const kvHeads = pick([1, 2, 3, 4]);
  return {
    queryHeads: kvHeads * pick(GROUPS),
    kvHeads,
    headSize: pick(HEAD_SIZES),
    dtype: dtype ?? pick(['f32', 'f16'] as const),
  };
}

/** Draws a case of a shape: batch, lengths, capacity, scores, policy. The same seed gives the same case. */
export function drawCase(
  seed: number,
  shape: AttentionShape,
  options: { maxLength?: number; subgroups: boolean; onePass?: boolean; shadow?: boolean },
): Case {
  const random = createRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[random.integer(list.length)]!;
  const batch = pick([1, 1, 1, 2, 3]);
  const maxLength = options.maxLength ?? pick([1, 2, 5, 63, 64, 65, 128, 129, 200, 511, 700, 1030]);
  const capacity = maxLength + pick([0, 0, 1, 60]);
  const lengths = Array.from({ length: batch }, (_, b) =>
    b === 0 ? maxLength : 1 + random.integer(maxLength),
  );
  const distribution = pick(['random', 'random', 'uniform', 'one-hot', 'peaked'] as const);
  const base = { seed, shape, batch, capacity, lengths, distribution, subgroups: options.subgroups };
  const x = tensors(createRandom(seed ^ 0x5eed), base);
  const { queryHeads, kvHeads, headSize } = shape;
  const inputs = { ...x, queryHeads, kvHeads, headSize, batch, capacity, lengths };
  const onePass = options.onePass === true && canSiftInOnePass(shape, options.subgroups);
  const normaliser = onePass ? 'estimate' : 'exact';
  const keys = onePass && options.shadow ? 'shadow' : 'exact';
  const scores = attentionScores(inputs);
  let judged: ArrayLike<number> = judgedLogProbabilities(inputs, scores, normaliser);
  if (keys === 'shadow') {
    const { screened, exact } = shadowLogProbabilities(inputs, scores);
    judged = [...screened, ...exact];
  }
  const flags = {
    dropped: pick(['none', 'renormalise', 'mean', 'linear'] as const),
    normaliser,
    keys,
    shareGroup: keys === 'shadow' || random.integer(2) === 1,
    keepNewest: random.integer(2) === 1,
    keepLargest: random.integer(2) === 1 && !onePass,
  } as const;
  const dense = random.integer(6) === 0;
  const none = random.integer(8) === 0; // all below the threshold
  const p = dense ? 0 : none ? 0.99999 : clearThreshold(random, judged, maxLength);
  const policy = validatePolicy({
    name: 'case',
    target: { kind: 'probability', p },
    axis: 'length',
    exponent: { kind: 'fixed', beta: 0 },
    warmup: 0,
    ...flags,
    refitEvery: 0,
    guard: false,
  });
  return {
    ...base,
    policy,
    logThresholds: lengths.map(() => (p === 0 ? Number.NEGATIVE_INFINITY : Math.log(p))),
  };
}

/** Runs a case on the device and compares. */
export async function runCase(device: GPUDevice, c: Case): Promise<Outcome> {
  const { shape, batch, capacity, lengths } = c;
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const { q, k, v } = tensors(createRandom(c.seed ^ 0x5eed), c);
  const inputs = { q, k, v, queryHeads, kvHeads, headSize, batch, capacity, lengths };
  const perHead = Float64Array.from(
    { length: batch * queryHeads },
    (_, i) => c.logThresholds[Math.floor(i / queryHeads)]!,
  );
  if (dtype === 'f16' && c.policy.normaliser === 'estimate' && c.policy.keys === 'exact') {
    clearKeys(createRandom(c.seed ^ 0xc1ea), inputs, perHead, c.policy.normaliser);
  }
  const attention = await createSiftAttention(device, shape, {
    selfTest: false,
    policy: c.policy,
    batch,
    subgroups: c.subgroups,
    ...(c.tuning && { tuning: c.tuning }),
  });
  const buffers = [upload(device, q, dtype), upload(device, k, dtype), upload(device, v, dtype)] as const;
  const output = upload(device, new Float32Array(batch * queryHeads * headSize), dtype);
  const lengthBuffer = upload(device, lengths, 'i32');
  const step = attention.beginStep({
    length: { buffer: { buffer: lengthBuffer }, max: Math.max(...lengths) },
    capacity,
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  step.encode(pass, 0, {
    q: { buffer: buffers[0] },
    keys: { buffer: buffers[1] },
    values: { buffer: buffers[2] },
    output: { buffer: output },
  });
  pass.end();
  device.queue.submit([encoder.finish()]);
  const got = await download(device, output, batch * queryHeads * headSize, dtype);
  const figures = await attention.figures(0);
  attention.destroy();
  for (const buffer of [...buffers, output, lengthBuffer]) buffer.destroy();

  const want = siftedAttention(inputs, perHead, c.policy);
  const error = outputError(got, want.output, shape);
  const sifting = !step.dense;
  const countsAgree =
    !sifting ||
    (figures.heads.every((head, i) => head.lastKept === want.keptRows[i]!) &&
      figures.groups.every((group, i) => group.lastUnion === want.groupRows[i]!));
  const sum = (list: ArrayLike<number>) => Array.from(list).reduce((a, b) => a + b, 0);
  return {
    error,
    countsAgree,
    keptRows: sum(want.keptRows),
    totalRows: sum(lengths) * queryHeads,
    groupRows: sum(want.groupRows),
    groupTotal: sum(lengths) * kvHeads,
  };
}

/** Describes a case in one line, for messages. */
export function describeCase(c: Case): string {
  const { queryHeads, kvHeads, headSize, dtype } = c.shape;
  return `seed ${c.seed}: ${dtype} ${queryHeads}/${kvHeads}x${headSize} batch ${c.batch} lengths ${c.lengths} of ${c.capacity} ${c.distribution}`;
}
