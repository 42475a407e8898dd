import { download } from '../../src/kernel/gpu/transfer.ts';
import { ERROR_BOUND, outputError } from '../../src/kernel/proof/test-cases.ts';
import type { AttentionShape } from '../../src/kernel/shape.ts';
import { denseAttention, siftedAttention } from '../../src/oracle/index.ts';
import type { InputSet } from './inputs.ts';
import type { OurVariants } from './our-attention.ts';
import type { StockAttention } from './stock-attention.ts';

/** Longest cache for which the f64 reference is computed for all heads. */
const REFERENCE_LENGTH = 8192;
/** The runtime keeps partial results in the element type; more than this means that it computed something else. */
const STOCK_BOUND = { f32: 1e-3, f16: 5e-2 } as const;

/** What the rounding of the screened scores may change, as a share of what sifting changes. */
export const SCREEN_SHARE = 0.2;

/** Errors of each variant against the f64 reference, relative to the largest element of a head. */
export interface Errors {
  /** KV groups for which the f64 reference was computed. */
  groups: number;
  stock: number | undefined;
  /** The runtime's output against our dense one, all heads. */
  stockFromDense: number | undefined;
  dense: number;
  warmup: number;
  /** By the name of the variant. */
  sifted: Record<string, number>;
  failures: string[];
}

type Encode = (pass: GPUComputePassEncoder) => void;

/** Computes the first set's outputs with every variant, so that nothing is timed that computes something else. */
export async function verifyVariants(
  device: GPUDevice,
  shape: AttentionShape,
  length: number,
  set: InputSet,
  output: GPUBuffer,
  ours: OurVariants,
  stock: StockAttention | undefined,
): Promise<Errors> {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const count = queryHeads * headSize;
  const run = async (encode: Encode) => {
    const encoder = device.createCommandEncoder();
    encoder.clearBuffer(output);
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
    device.queue.submit([encoder.finish()]);
    return download(device, output, count, dtype);
  };
  const own = (variant: OurVariants['dense']) => {
    variant.begin();
    return run((pass) => variant.encode(pass, 0));
  };
  const dense = await own(ours.dense);
  const warmup = await own(ours.warmup);
  const theirs = stock && (await run((pass) => stock.encode(pass, 0)));
  const failures: string[] = [];
  const check = (name: string, error: number, bound: number) => {
    if (!(error < bound)) failures.push(`${name}: error ${error.toExponential(2)}, allowed ${bound}`);
    return error;
  };

  // The reference of a long cache takes long, so that the first KV group stands for all.
  const groups = length <= REFERENCE_LENGTH ? kvHeads : 1;
  const heads = (queryHeads / kvHeads) * groups;
  const inputs = {
    q: await download(device, set.q, heads * headSize, dtype),
    k: await download(device, set.keys, groups * length * headSize, dtype),
    v: await download(device, set.values, groups * length * headSize, dtype),
    ...{ batch: 1, queryHeads: heads, kvHeads: groups, headSize, capacity: length, lengths: length },
  };
  const want = denseAttention(inputs).output;
  // In many rows, one may lie so close to the threshold that f32 decides otherwise than f64.
  const siftBound = ERROR_BOUND[dtype] * (length <= REFERENCE_LENGTH ? 1 : 3);
  const sifted: Errors['sifted'] = {};
  const all = ours.sifted.flatMap(({ policy, variant, screened }) => [
    { policy, variant },
    ...(screened ? [screened] : []),
  ]);
  for (const { policy, variant } of all) {
    variant.learn(device);
    const got = await own(variant);
    const { name } = variant;
    if (!got.every(Number.isFinite)) failures.push(`${name}: output is not finite`);
    const figures = (await variant.attention.figures()).heads;
    if (figures[0]!.siftedSteps === 0) {
      sifted[name] = check(name, outputError(got, want, shape), ERROR_BOUND[dtype]);
      continue;
    }
    const logs = Float64Array.from(figures.slice(0, heads), (head) =>
      head.status === 'learning' || head.status === 'fitted' ? head.logThreshold : Number.NEGATIVE_INFINITY,
    );
    const reference = siftedAttention(inputs, logs, policy).output;
    // Where K is screened in f16, rows close to the threshold may fall on either side of it. That must change little beside sifting itself.
    // The same holds for codes of the shadow that lie close to a boundary.
    const halves = policy.normaliser === 'estimate' && dtype === 'f16' && device.features.has('shader-f16');
    const screened = halves || policy.keys === 'shadow';
    const slack = screened ? SCREEN_SHARE * outputError(reference, want, shape) : 0;
    sifted[name] = check(name, outputError(got, reference, shape), siftBound + slack);
  }
  return {
    groups,
    stock: theirs && check('stock', outputError(theirs, want, shape), STOCK_BOUND[dtype]),
    stockFromDense: theirs && check('stock, dense', outputError(theirs, dense, shape), STOCK_BOUND[dtype]),
    dense: check('dense', outputError(dense, want, shape), ERROR_BOUND[dtype]),
    warmup: check('warm-up', outputError(warmup, want, shape), ERROR_BOUND[dtype]),
    sifted,
    failures,
  };
}
