import { download, upload } from '../../src/kernel/gpu/transfer.ts';
import { pagedSelfTest } from '../../src/kernel/proof/paged-self-test.ts';
import { outputError } from '../../src/kernel/proof/test-cases.ts';
import { firstProven, kernelVariants } from '../../src/kernel/proof/variants.ts';
import type { AttentionShape } from '../../src/kernel/shape.ts';
import { createStepResources, type StepResources } from '../../src/kernel/step/encoder.ts';
import { pagedKv } from '../../src/kernel/text/kv-paged.ts';
import { siftedAttention } from '../../src/oracle/index.ts';
import { probabilityPolicy, type ThresholdPolicy, uniformPolicy } from '../../src/policy/index.ts';
import { cacheBytes, uniformLevel } from '../kernels/inputs.ts';
import { SCREEN_SHARE } from '../kernels/verify.ts';
import { type PassTimer, timeInTurns, type Variant } from '../timing/timing.ts';
import { OurPaged } from './our-paged.ts';
import { createPagedSets, firstGroup, PAGE_SIZE, type PagedSet } from './pages.ts';
import type { PagedRow } from './report.ts';
import { StockPaged } from './stock-paged.ts';

const MAX_SETS = 64;

/** The shapes of web-llm's smallest models: name, query heads, KV heads, head size. */
export const PAGED_MODELS: readonly (readonly [string, number, number, number])[] = [
  ['Llama-3.2-1B', 32, 8, 64],
  ['Qwen2-0.5B', 14, 2, 64],
];

/**
 * Errors of each variant against the f64 reference, on the first KV group of one set; `sifting` is how far the references of the dense
 * and of the sifted step are apart.
 */
async function verify(
  device: GPUDevice,
  shape: AttentionShape,
  length: number,
  set: PagedSet,
  output: GPUBuffer,
  variants: { stock: Variant; dense: OurPaged; sift: OurPaged; level: number },
): Promise<PagedRow['errors'] & { sifting: number }> {
  const { stock, dense, sift, level } = variants;
  const inputs = await firstGroup(device, shape, length, set);
  const run = async (variant: Variant) => {
    variant.begin?.();
    const encoder = device.createCommandEncoder();
    encoder.clearBuffer(output);
    const pass = encoder.beginComputePass();
    variant.encode(pass, 0);
    pass.end();
    device.queue.submit([encoder.finish()]);
    return download(device, output, inputs.queryHeads * shape.headSize, shape.dtype);
  };
  const reference = (logThreshold: number, policy: ThresholdPolicy) => {
    const logs = new Float64Array(inputs.queryHeads).fill(logThreshold);
    return siftedAttention(inputs, logs, policy).output;
  };
  const error = (got: ArrayLike<number>, want: Float64Array) =>
    outputError(got, want, { ...shape, queryHeads: inputs.queryHeads });
  const whole = reference(Number.NEGATIVE_INFINITY, dense.policy);
  const part = reference(Math.log(level / length), sift.policy);
  return {
    stock: error(await run(stock), whole),
    dense: error(await run(dense), whole),
    sift: error(await run(sift), part),
    sifting: error(part, whole),
  };
}

async function measure(
  resources: StepResources,
  timer: PassTimer,
  model: string,
  shape: AttentionShape,
  length: number,
  options: { kept: number; rotateBytes: number; calls: number; repeat: number },
): Promise<PagedRow> {
  const { device } = resources;
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const setCount = Math.min(
    MAX_SETS,
    Math.max(2, Math.ceil(options.rotateBytes / (2 * cacheBytes(shape, length)))),
  );
  const sets = await createPagedSets(device, shape, length, setCount);
  const output = upload(device, new Float32Array(queryHeads * headSize), dtype);
  const lse = upload(device, new Float32Array(queryHeads), 'f32');
  const c = uniformLevel(options.kept, shape);
  const policy = uniformPolicy({ c });
  const encoder = await firstProven(kernelVariants(device, shape, pagedKv(PAGE_SIZE)), (variant) =>
    pagedSelfTest(resources, shape, PAGE_SIZE, variant, policy),
  );
  const make = (name: string, of: ThresholdPolicy) =>
    new OurPaged(name, encoder, of, length, sets, output, lse);
  const stock = await StockPaged.create(device, shape, length, sets, output);
  const dense = make('dense', probabilityPolicy({ p: 0 }));
  const sift = make('sift', policy);
  sift.first();
  try {
    const errors = await verify(device, shape, length, sets[0]!, output, { stock, dense, sift, level: c });
    // Among many rows, one may lie so close to the threshold that f32 decides otherwise than f64. Where K is screened in f16, more do.
    const bound = dtype === 'f16' ? 2e-3 : 1e-5;
    const slack = dtype === 'f16' ? SCREEN_SHARE * errors.sifting : 0;
    const { sifting: _, ...figures } = errors;
    if (!(errors.stock < bound && errors.dense < bound && errors.sift < 3 * bound + slack))
      throw new Error(`${model} ${length}: not timed, errors ${JSON.stringify(figures)}`);
    const times = await timeInTurns(
      timer,
      [stock, dense, sift],
      Math.max(options.calls, setCount),
      options.repeat,
    );
    const { heads, groups } = await sift.states[0]!.read();
    return {
      ...{
        model,
        dtype,
        heads: `${queryHeads}/${kvHeads}`,
        headSize,
        length,
        sets: setCount,
        errors: figures,
      },
      keptGroup: groups.reduce((sum, g) => sum + g.unionRows, 0) / groups.length / heads[0]!.totalRows,
      stockUs: times.get('stock')!,
      denseUs: times.get('dense')!,
      siftUs: times.get('sift')!,
    };
  } finally {
    dense.destroy();
    sift.destroy();
    for (const { q, pages, table } of sets) for (const buffer of [q, pages, table]) buffer.destroy();
    for (const buffer of [output, lse]) buffer.destroy();
  }
}

/** Times a kernel on web-llm's grid, our dense kernels and our sifted ones over paged caches of the models' shapes. */
export async function runPaged(
  device: GPUDevice,
  timer: PassTimer,
  options: {
    dtype: 'f16' | 'f32';
    lengths: readonly number[];
    kept: number;
    rotateBytes: number;
    calls: number;
    repeat: number;
    log: (text: string) => void;
  },
): Promise<PagedRow[]> {
  const rows: PagedRow[] = [];
  const resources = await createStepResources(device);
  for (const [model, queryHeads, kvHeads, headSize] of PAGED_MODELS) {
    for (const keys of options.lengths) {
      const length = Math.ceil(keys / PAGE_SIZE) * PAGE_SIZE;
      const shape = { queryHeads, kvHeads, headSize, dtype: options.dtype };
      const row = await measure(resources, timer, model, shape, length, options);
      options.log(JSON.stringify(row));
      rows.push(row);
    }
  }
  return rows;
}
