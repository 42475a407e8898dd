import { download, upload } from '../src/kernel/gpu/transfer.ts';
import { pagedSelfTest } from '../src/kernel/proof/paged-self-test.ts';
import { outputError } from '../src/kernel/proof/test-cases.ts';
import { firstProven, kernelVariants } from '../src/kernel/proof/variants.ts';
import type { AttentionShape } from '../src/kernel/shape.ts';
import {
  type AttentionEncoder,
  createStepResources,
  type PreparedStep,
  type StepResources,
} from '../src/kernel/step/encoder.ts';
import { LayerState } from '../src/kernel/step/layer-state.ts';
import { pagedKv } from '../src/kernel/text/kv-paged.ts';
import { createRandom, siftedAttention } from '../src/oracle/index.ts';
import { planStep, probabilityPolicy, type ThresholdPolicy, uniformPolicy } from '../src/policy/index.ts';
import { stockLaunchDimensions, stockPagedKernel } from '../src/testing/web-llm/stock-kernel.ts';
import { cacheBytes, createInputs, uniformLevel } from './inputs.ts';
import { type PassTimer, type Timing, timeInTurns, type Variant } from './timing.ts';
import { SCREEN_SHARE } from './verify.ts';

/** Keys of a page, as web-llm has it. */
const PAGE_SIZE = 16;
const MAX_SETS = 64;

/** The shapes of web-llm's smallest models: name, query heads, KV heads, head size. */
export const PAGED_MODELS: readonly (readonly [string, number, number, number])[] = [
  ['Llama-3.2-1B', 32, 8, 64],
  ['Qwen2-0.5B', 14, 2, 64],
];

/** Microseconds of one layer's attention over a paged cache. */
export interface PagedRow {
  model: string;
  dtype: string;
  heads: string;
  headSize: number;
  length: number;
  /** Share of the V rows that the KV groups read. */
  keptGroup: number;
  /** A kernel of ours on web-llm's grid: one workgroup for every KV head. */
  stockUs: Timing;
  denseUs: Timing;
  siftUs: Timing;
  sets: number;
  /** Errors of the first KV group against the f64 reference, relative to a head's largest element. */
  errors: { stock: number; dense: number; sift: number };
}

interface PagedSet {
  q: GPUBuffer;
  pages: GPUBuffer;
  table: GPUBuffer;
  order: readonly number[];
}

async function createSets(
  device: GPUDevice,
  shape: AttentionShape,
  length: number,
  count: number,
): Promise<PagedSet[]> {
  const random = createRandom(7);
  // A buffer of normal numbers as large as K and V together; what else comes with it is not needed.
  const inputs = await createInputs(device, shape, 2 * length, count);
  return inputs.map(({ q, keys, values }) => {
    values.destroy();
    const order = Array.from({ length: length / PAGE_SIZE }, (_, i) => i);
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.integer(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return { q, pages: keys, table: upload(device, [0, order.length, PAGE_SIZE, 0, ...order], 'i32'), order };
  });
}

/** Entries of a table's buffer before the page numbers: first and last page, keys on the last, and a zero. */
const TABLE = { indptr: 0, lengths: 2, zero: 3, values: 4 };

/** The kernel on web-llm's grid. */
class StockPaged implements Variant {
  readonly name = 'stock';

  private constructor(
    private readonly pipeline: GPUComputePipeline,
    private readonly groups: readonly GPUBindGroup[],
    private readonly kvHeads: number,
  ) {}

  static async create(
    device: GPUDevice,
    shape: AttentionShape,
    length: number,
    sets: readonly PagedSet[],
    output: GPUBuffer,
  ): Promise<StockPaged> {
    const { info, code } = stockPagedKernel(shape, PAGE_SIZE);
    const pipeline = await device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code }), entryPoint: info.name },
    });
    const pods = new DataView(new ArrayBuffer(56));
    const pages = length / PAGE_SIZE;
    const scalars = [1, TABLE.zero, TABLE.lengths, pages, pages, TABLE.indptr, TABLE.values, 0, TABLE.zero];
    for (const [i, value] of scalars.entries()) pods.setInt32(4 * i, value, true);
    pods.setFloat32(36, 1, true);
    pods.setFloat32(40, 10000, true);
    pods.setFloat32(48, 1 / Math.sqrt(shape.headSize), true);
    pods.setUint32(52, 1, true);
    const podArgs = device.createBuffer({
      size: 56,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(podArgs, 0, pods.buffer);
    const lse = device.createBuffer({ size: shape.queryHeads * 4, usage: GPUBufferUsage.STORAGE });
    // The rope bindings (1 and 8) are not used by this kernel.
    const groups = sets.map(({ q, pages: cache, table }) =>
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: Object.entries({
          0: q,
          2: table,
          3: lse,
          4: output,
          5: table,
          6: table,
          7: cache,
          9: podArgs,
        }).map(([binding, buffer]) => ({ binding: Number(binding), resource: { buffer } })),
      }),
    );
    return new StockPaged(pipeline, groups, stockLaunchDimensions(shape)[1]);
  }

  encode(pass: GPUComputePassEncoder, call: number): void {
    pass.setPipeline(this.pipeline);
    pass.setBindGroup(0, this.groups[call % this.groups.length]!);
    pass.dispatchWorkgroups(1, this.kvHeads);
  }
}

/** Our kernels as the web-llm adapter encodes them, the log-sum-exp included. */
class OurPaged implements Variant {
  readonly states: LayerState[];
  private step: PreparedStep | undefined;
  private readonly zero: GPUBuffer;

  constructor(
    readonly name: string,
    private readonly encoder: AttentionEncoder,
    readonly policy: ThresholdPolicy,
    private readonly length: number,
    private readonly sets: readonly PagedSet[],
    private readonly output: GPUBuffer,
    private readonly lse: GPUBuffer,
  ) {
    const { device } = encoder.resources;
    // Every set of inputs stands for a layer.
    this.states = sets.map(() => new LayerState(device, encoder.shape, 1, policy));
    this.zero = upload(device, [0], 'i32');
  }

  /** A request's first step, in which the moments of V are measured, on every set. */
  first(): void {
    const { device } = this.encoder.resources;
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    this.begin(1);
    for (let call = 0; call < this.sets.length; call++) this.encode(pass, call);
    pass.end();
    device.queue.submit([commands.finish()]);
  }

  begin(step = 2): void {
    const { encoder } = this;
    this.step = encoder.prepare({
      ...{ batch: 1, lengths: { buffer: this.zero }, lengthBias: this.length, maxLength: this.length },
      ...{ capacity: TABLE.values, scale: 1 / Math.sqrt(encoder.shape.headSize) },
      ...{ policy: this.policy, plan: planStep(this.policy, step) },
    });
  }

  encode(pass: GPUComputePassEncoder, call: number): void {
    const { encoder } = this;
    const at = call % this.sets.length;
    const { q, pages, table } = this.sets[at]!;
    const cache = { buffer: pages };
    const inputs = { q: { buffer: q }, keys: cache, values: cache, pageTable: { buffer: table } };
    encoder.attend(pass, this.step!, inputs, this.states[at]!);
    encoder.combine(pass, this.step!, { buffer: this.output }, this.states[at]!, { buffer: this.lse });
  }

  destroy(): void {
    for (const state of this.states) state.destroy();
    this.zero.destroy();
  }
}

/** Inputs of the first KV group, out of the first set's pages. */
async function firstGroup(device: GPUDevice, shape: AttentionShape, length: number, set: PagedSet) {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const group = queryHeads / kvHeads;
  const pageElements = kvHeads * PAGE_SIZE * headSize;
  const pages = await download(device, set.pages, 2 * kvHeads * length * headSize, dtype);
  const rows = (half: number) => {
    const out = new Float32Array(length * headSize);
    for (const [i, page] of set.order.entries()) {
      const from = (page * 2 + half) * pageElements;
      out.set(pages.subarray(from, from + PAGE_SIZE * headSize), i * PAGE_SIZE * headSize);
    }
    return out;
  };
  return {
    q: await download(device, set.q, group * headSize, dtype),
    ...{
      k: rows(0),
      v: rows(1),
      batch: 1,
      queryHeads: group,
      kvHeads: 1,
      headSize,
      capacity: length,
      lengths: length,
    },
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
  const sets = await createSets(device, shape, length, setCount);
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
    const inputs = await firstGroup(device, shape, length, sets[0]!);
    const run = async (variant: Variant) => {
      variant.begin?.();
      const encoder = device.createCommandEncoder();
      encoder.clearBuffer(output);
      const pass = encoder.beginComputePass();
      variant.encode(pass, 0);
      pass.end();
      device.queue.submit([encoder.finish()]);
      return download(device, output, inputs.queryHeads * headSize, dtype);
    };
    const of = (logThreshold: number, policy: ThresholdPolicy) => {
      const logs = new Float64Array(inputs.queryHeads).fill(logThreshold);
      return siftedAttention(inputs, logs, policy).output;
    };
    const error = (got: ArrayLike<number>, want: Float64Array) =>
      outputError(got, want, { ...shape, queryHeads: inputs.queryHeads });
    const whole = of(Number.NEGATIVE_INFINITY, dense.policy);
    const part = of(Math.log(c / length), sift.policy);
    const errors = {
      stock: error(await run(stock), whole),
      dense: error(await run(dense), whole),
      sift: error(await run(sift), part),
    };
    // In many rows, one may lie so close to the threshold that f32 decides otherwise than f64; more where K is screened in f16.
    const bound = dtype === 'f16' ? 2e-3 : 1e-5;
    const slack = dtype === 'f16' ? SCREEN_SHARE * error(part, whole) : 0;
    if (!(errors.stock < bound && errors.dense < bound && errors.sift < 3 * bound + slack))
      throw new Error(`${model} ${length}: not timed, errors ${JSON.stringify(errors)}`);
    const times = await timeInTurns(
      timer,
      [stock, dense, sift],
      Math.max(options.calls, setCount),
      options.repeat,
    );
    const { heads, groups } = await sift.states[0]!.read();
    return {
      ...{ model, dtype, heads: `${queryHeads}/${kvHeads}`, headSize, length, sets: setCount, errors },
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

/** Times web-llm's grid, our dense and our sifted kernels over paged caches of the models' shapes. */
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
  const resources = createStepResources(device);
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

/** The rows as a Markdown table. */
export function pagedMarkdown(rows: readonly PagedRow[]): string {
  const us = ({ median, p10, p90 }: Timing) => `${median.toFixed(1)} (${p10.toFixed(1)}–${p90.toFixed(1)})`;
  const head = ['model', 'heads', 'type', 'keys', 'V read', 'stock grid µs (p10–p90)', 'dense µs', 'sift µs'];
  const ratios = ['stock / dense', 'stock / sift', 'dense / sift'];
  const lines = rows.map((r) => [
    ...[r.model, r.heads, r.dtype, r.length, `${(100 * r.keptGroup).toFixed(1)}%`],
    ...[us(r.stockUs), us(r.denseUs), us(r.siftUs)],
    (r.stockUs.median / r.denseUs.median).toFixed(2),
    (r.stockUs.median / r.siftUs.median).toFixed(2),
    (r.denseUs.median / r.siftUs.median).toFixed(2),
  ]);
  const header = [...head, ...ratios];
  return [header, header.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
