import type { KernelInfo, Launch } from '../../adapters/web-llm/engine.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import { createRandom, type Random } from '../../oracle/index.ts';
import type { Handle, RuntimeContext } from './runtime.ts';
import { appendKernel, stockLaunchDimensions, stockPagedKernel } from './stock-kernel.ts';

export interface LibraryOptions {
  shape: AttentionShape;
  layers: number;
  pageSize: number;
  maxPages: number;
  seed: number;
  /** Changes the kernels before they are offered, to test what the plugin refuses. */
  edit?: (kernels: Record<string, { info: KernelInfo; code: string }>) => void;
  rotaryMode?: number;
}

/** What one forward of a token put into the attention of a layer. */
export interface LayerStep {
  q: Float32Array;
  output: Handle;
  lse: Handle;
}

/** A wasm memory, as far as tvmjs's WebGPU context uses it. */
export class HostMemory {
  private readonly bytes = new Uint8Array(1 << 16);
  loadRawBytes = (from: number, count: number) => this.bytes.slice(from, from + count);
  viewRawBytes = (from: number, count: number) => this.bytes.subarray(from, from + count);
  storeRawBytes = (to: number, data: Uint8Array) => this.bytes.set(data, to);
}

/**
 * A model library without a model: it stands for the compiled host code (function table, paged KV cache, launches), in TypeScript
 * instead of wasm. Queries, keys and values are random; every kernel goes through the runtime's real shader functions. A kernel is
 * looked up in the function table at its first launch and kept, as compiled code does.
 */
export class TestLibrary {
  readonly kernels: Record<string, { info: KernelInfo; code: string }> = {};
  /** K and V of every position in the cache, by layer: [position][kvHeads * headSize]. */
  readonly keys: Float32Array[][];
  readonly values: Float32Array[][];
  /** What the last 1-token forward gave the attention, by layer. */
  last: LayerStep[] = [];
  readonly order: number[];
  private readonly table = new Map<string, Launch>();
  private readonly launched = new Map<string, Launch>();
  private readonly pages: Handle[];
  private readonly random: Random;
  private readonly aux: Handle;
  private readonly queries: Handle[];
  private readonly outputs: Handle[][];
  private readonly news: { k: Handle; v: Handle }[];
  private forwards = 0;

  constructor(
    private readonly context: RuntimeContext,
    readonly options: LibraryOptions,
  ) {
    const { shape, layers, pageSize, maxPages } = options;
    const { queryHeads, kvHeads, headSize } = shape;
    this.random = createRandom(options.seed);
    for (const kernel of [stockPagedKernel(shape, pageSize), appendKernel(shape, pageSize)])
      this.kernels[kernel.info.name] = kernel;
    options.edit?.(this.kernels);
    const each = <T>(make: () => T): T[] => Array.from({ length: layers }, make);
    const allocate = (floats: number) => context.deviceAllocDataSpace(floats * 4);
    this.keys = each(() => []);
    this.values = each(() => []);
    this.pages = each(() => allocate(maxPages * 2 * kvHeads * pageSize * headSize));
    this.queries = each(() => allocate(queryHeads * headSize));
    this.news = each(() => ({ k: allocate(64 * kvHeads * headSize), v: allocate(64 * kvHeads * headSize) }));
    // The output's buffer changes from step to step, as the runtime's memory pool has it.
    this.outputs = each(() => [0, 1, 2, 3].map(() => allocate(queryHeads * headSize)));
    this.aux = allocate(64 + 64 + maxPages);
    this.order = Array.from({ length: maxPages }, (_, i) => i);
    this.shuffle();
  }

  /** What `vm.getInternalModule()` gives. */
  getFunction(name: string): (...args: never[]) => unknown {
    if (name === 'webgpu.get_fmap')
      return () =>
        JSON.stringify(Object.fromEntries(Object.entries(this.kernels).map(([k, { info }]) => [k, info])));
    if (name === 'webgpu.get_shader') return (kernel: string) => this.kernels[kernel]!.code;
    if (name === 'webgpu.update_prebuild')
      return (kernel: string, f: Launch) => void this.table.set(kernel, f);
    throw new Error(`no function ${name}`);
  }

  clear(): void {
    for (const list of [...this.keys, ...this.values]) list.length = 0;
    this.shuffle();
  }

  /** Appends rows for `tokens` new tokens to every layer; of a single token, launches the attention too. */
  forward(tokens: number): void {
    const { shape, pageSize, rotaryMode = 0 } = this.options;
    const { queryHeads, kvHeads, headSize } = shape;
    const { context } = this;
    const past = this.keys[0]!.length;
    const length = past + tokens;
    const pages = Math.ceil(length / pageSize);
    const write = (handle: Handle, data: Float32Array | Int32Array) =>
      context.copyRawBytesToBuffer(new Uint8Array(data.buffer), handle, 0, data.byteLength);
    // One buffer holds all tables, at offsets that the scalars name.
    const at = { indptr: 4, lengths: 8, rope: 12, position: 16, slots: 20, values: 20 + 64 };
    const aux = new Int32Array(at.values + pages);
    aux.set([0, pages], at.indptr);
    aux[at.lengths] = length - (pages - 1) * pageSize;
    aux[at.position] = length - 1;
    for (let i = 0; i < tokens; i++) {
      const position = past + i;
      aux[at.slots + i] = this.order[Math.floor(position / pageSize)]! * pageSize + (position % pageSize);
    }
    aux.set(this.order.slice(0, pages), at.values);
    write(this.aux, aux);
    const steps: LayerStep[] = [];
    for (const [layer, { k, v }] of this.news.entries()) {
      const rows = [k, v].map((handle, half) => {
        const row = this.random.normals(tokens * kvHeads * headSize);
        write(handle, row);
        const list = (half === 0 ? this.keys : this.values)[layer]!;
        for (let i = 0; i < tokens; i++)
          list.push(row.slice(i * kvHeads * headSize, (i + 1) * kvHeads * headSize));
        return row;
      });
      void rows;
      const q = Float32Array.from(this.random.normals(queryHeads * headSize), (x) => 2 * x);
      write(this.queries[layer]!, q);
      const output = this.outputs[layer]![this.forwards % 3]!;
      steps.push({ q, output, lse: this.outputs[layer]![3]! });
    }
    for (const [layer, { k, v }] of this.news.entries()) {
      const cache = this.pages[layer]!;
      const groups = Math.ceil((tokens * kvHeads * headSize) / 64);
      this.launch(
        'tir_kv_cache_transpose_append_kernel',
        k,
        cache,
        this.aux,
        v,
        tokens,
        at.slots,
        groups,
        64,
      );
      if (tokens > 1) continue;
      const { output, lse } = steps[layer]!;
      this.launch(
        'batch_decode_paged_kv_kernel',
        ...[this.queries[layer]!, this.aux, this.aux, lse, output, this.aux, this.aux, cache, this.aux],
        ...[1, at.rope, at.lengths, this.options.maxPages, pages, at.indptr, at.values, 0, at.position],
        ...[1, 10000, rotaryMode, 1 / Math.sqrt(headSize)],
        ...stockLaunchDimensions(shape),
      );
    }
    this.forwards++;
    if (tokens === 1) this.last = steps;
  }

  private launch(name: string, ...args: number[]): void {
    let kernel = this.launched.get(name);
    if (!kernel) {
      kernel = this.table.get(name);
      if (!kernel) throw new Error(`${name} was not registered`);
      this.launched.set(name, kernel);
    }
    kernel(...args);
  }

  private shuffle(): void {
    const { order, random } = this;
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.integer(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
  }
}
