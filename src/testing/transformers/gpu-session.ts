import type { TensorClass } from '../../adapters/transformers/kv/views.ts';
import type { OrtSession, OrtTensor } from '../../adapters/transformers/runtime.ts';
import type { Tensors } from '../../adapters/transformers/session-hook.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import { createRandom, denseAttention, type Random } from '../../oracle/index.ts';
import {
  attentionPrograms,
  copyProgram,
  type ProgramOptions,
  TILE,
} from '../onnxruntime/attention-programs.ts';
import { attentionUniforms, attentionWorkgroups } from '../onnxruntime/attention-sizes.ts';
import { bufferFor } from '../onnxruntime/layer.ts';
import { layoutEntries, type StandInProgram, textOf, uniformBytes } from '../onnxruntime/program.ts';

/** Tokens that it knows. */
export const VOCABULARY = 32;
/** Factor of the queries, so that a few keys of each head count more than the others. */
const QUERY_SCALE = 3;
/** Positions after which what is added to the keys begins anew. It is a prime. */
const PERIOD = 61;

export interface GpuSessionOptions {
  shape: AttentionShape & { dtype: 'f32' };
  layers: number;
  seed: number;
  /** Which of the runtime's builds its programs stand for. */
  form?: ProgramOptions['form'];
  /** Changes the rows of K or V of a token before they are written, to test what is done with numbers that are none. */
  editRow?: (row: Float32Array, layer: number, position: number) => void;
}

/** What a run is about to do, or has done. */
export interface RunOfSession {
  /** Past and present are one buffer. */
  shared: boolean;
  newTokens: number;
  length: number;
  /** The number of the run, from 0 on. */
  run: number;
}

interface Compiled {
  program: StandInProgram;
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

/** The tables of one layer, by token. */
interface LayerTables {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  /** [PERIOD, kvHeads * headSize]: added to the keys. */
  positions: Float32Array;
  /** [VOCABULARY, queryHeads * headSize]. */
  logits: Float32Array;
}

/**
 * A session that stands for one of onnxruntime-web: a decoder whose queries, keys and values are looked up by token, whose attention is
 * computed on a WebGPU device by programs with the interface of the runtime's, and whose logits are made of the outputs of the attention.
 * So each token depends on all keys and values before it. Its own buffers are made by the device's methods as they were when it was
 * created, so that faults which are injected later hit the plugin's alone.
 */
export class GpuSession implements OrtSession {
  readonly inputNames: string[];
  readonly outputNames: string[];
  readonly inputMetadata: object[];
  readonly config = { device: 'webgpu' };
  /** Sees each run before it does anything; what it throws is the runtime's error. */
  before: ((run: RunOfSession) => void) | undefined;
  /** The same before the last layer. */
  during: ((run: RunOfSession) => void) | undefined;
  /** The same when the run has written its rows. */
  after: ((run: RunOfSession) => void) | undefined;
  runs = 0;
  /** The logits of the last token of each run. */
  readonly seen: Float32Array[] = [];
  released = false;
  private readonly layers: LayerTables[];
  private readonly createBuffer: GPUDevice['createBuffer'];
  /** The programs of a decode step, compiled when they are first needed: that of the cache's copy, and those of the attention. */
  private programs: Compiled[] | undefined;

  constructor(
    readonly device: GPUDevice,
    readonly options: GpuSessionOptions,
    private readonly OrtTensor: TensorClass,
  ) {
    const { shape, layers, seed } = options;
    this.createBuffer = device.createBuffer.bind(device);
    const random = createRandom(seed);
    this.layers = Array.from({ length: layers }, () => tablesOf(random, shape));
    const names = Array.from({ length: layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    this.inputNames = ['input_ids', 'attention_mask', ...names.map((name) => `past_key_values.${name}`)];
    const { kvHeads, headSize } = shape;
    this.inputMetadata = names.map((name) => ({
      name: `past_key_values.${name}`,
      type: 'float32',
      shape: ['batch_size', kvHeads, 'past_sequence_length', headSize],
    }));
    this.outputNames = ['logits', ...names.map((name) => `present.${name}`)];
  }

  async release(): Promise<void> {
    this.released = true;
  }

  async run(feeds: Tensors, fetches?: Record<string, OrtTensor | null>): Promise<Tensors> {
    const { kvHeads, headSize } = this.options.shape;
    const ids = [...(feeds.input_ids!.data as BigInt64Array)].map(Number);
    const length = feeds.attention_mask!.dims.at(-1)!;
    const first = feeds['past_key_values.0.key']!;
    const given = fetches?.['present.0.key'];
    const shared = Boolean(given);
    const capacity = shared ? given!.dims[2]! : length;
    const run = { shared, newTokens: ids.length, length, run: this.runs++ };
    this.before?.(run);
    const past = { length: length - ids.length, capacity: first.dims[2]! };
    const bytes = kvHeads * capacity * headSize * 4;
    const present = this.layers.map((_, layer) =>
      ['key', 'value'].map(
        (kind) => fetches?.[`present.${layer}.${kind}`]?.gpuBuffer ?? this.buffer(Math.max(16, bytes)),
      ),
    );
    const outputs: Float32Array[] = [];
    for (const [layer, buffers] of present.entries()) {
      if (layer === present.length - 1) this.during?.(run);
      const pasts = ['key', 'value'].map((kind) => feeds[`past_key_values.${layer}.${kind}`]!);
      outputs.push(await this.attend(layer, { ids, length, past, capacity, shared, pasts, buffers }));
    }
    this.after?.(run);
    const result: Tensors = { logits: this.logitsOf(outputs, ids.length) };
    if (!shared) {
      for (const [layer, buffers] of present.entries()) {
        for (const [i, kind] of ['key', 'value'].entries())
          result[`present.${layer}.${kind}`] = this.tensorOf(buffers[i]!, [1, kvHeads, length, headSize]);
      }
    }
    return result;
  }

  /** Writes the rows of a layer, and computes the attention of the last token. */
  private async attend(
    layer: number,
    step: {
      ids: number[];
      length: number;
      past: { length: number; capacity: number };
      capacity: number;
      shared: boolean;
      pasts: OrtTensor[];
      buffers: GPUBuffer[];
    },
  ): Promise<Float32Array> {
    const { device } = this;
    const { queryHeads, kvHeads, headSize } = this.options.shape;
    const { ids, length, past, capacity, shared, pasts, buffers } = step;
    const q = this.layers[layer]!.q.slice(
      ids.at(-1)! * queryHeads * headSize,
      (ids.at(-1)! + 1) * queryHeads * headSize,
    );
    const decodes = ids.length === 1 && past.length > 0;
    if (decodes) return this.decode(layer, q, step);
    // The prompt: rows are copied and written by commands, and its attention is computed on the CPU.
    const encoder = device.createCommandEncoder();
    for (const [i, buffer] of buffers.entries()) {
      for (let head = 0; head < kvHeads && past.length > 0 && !shared; head++) {
        const row = headSize * 4;
        const size = past.length * row;
        encoder.copyBufferToBuffer(
          pasts[i]!.gpuBuffer,
          head * past.capacity * row,
          buffer,
          head * capacity * row,
          size,
        );
      }
    }
    device.queue.submit([encoder.finish()]);
    for (const [at, id] of ids.entries()) {
      const position = past.length + at;
      for (const [i, row] of this.rowsOf(layer, id, position).entries())
        this.writeRow(buffers[i]!, row, position, capacity);
    }
    const [k, v] = await Promise.all(
      buffers.map((buffer) => this.read(buffer, kvHeads * capacity * headSize)),
    );
    const inputs = { q, k: k!, v: v!, batch: 1, queryHeads, kvHeads, headSize, capacity, lengths: length };
    return Float32Array.from(denseAttention(inputs).output);
  }

  /** A decode step, by the programs. */
  private async decode(
    layer: number,
    q: Float32Array<ArrayBuffer>,
    step: Parameters<GpuSession['attend']>[1],
  ): Promise<Float32Array> {
    const { device } = this;
    const { queryHeads, headSize } = this.options.shape;
    const { ids, length, past, capacity, shared, pasts, buffers } = step;
    const tiles = Math.ceil(capacity / TILE);
    const [key, value] = this.rowsOf(layer, ids[0]!, length - 1);
    const own = {
      q: this.filled(q),
      new_key: this.filled(key!),
      new_value: this.filled(value!),
      seqlens_k: this.filled(Int32Array.of(length - 1)),
      scores: this.buffer(queryHeads * capacity * 4),
      metadata: this.buffer(queryHeads * tiles * 8),
      tiles: this.buffer(queryHeads * tiles * headSize * 4),
      attention: this.buffer(queryHeads * headSize * 4),
    };
    const bound = {
      ...own,
      present_key: buffers[0]!,
      present_value: buffers[1]!,
      past_key: pasts[0]!.gpuBuffer,
      past_value: pasts[1]!.gpuBuffer,
    };
    if (shared) {
      this.writeRow(buffers[0]!, key!, length - 1, capacity);
      this.writeRow(buffers[1]!, value!, length - 1, capacity);
    }
    const { form = 'two' } = this.options;
    const given = { dtype: 'f32', form } as const;
    this.programs ??= [copyProgram(given), ...attentionPrograms(given)].map((program) =>
      this.compile(program),
    );
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    const uniforms: GPUBuffer[] = [];
    const values = attentionUniforms(this.options.shape, { length, capacity, pastCapacity: past.capacity });
    // On a shared cache nothing is copied.
    for (const { program, pipeline, layout } of this.programs.slice(shared ? 1 : 0)) {
      const buffer = this.filled(uniformBytes(program.uniforms, values), GPUBufferUsage.UNIFORM);
      uniforms.push(buffer);
      const group = device.createBindGroup({
        layout,
        entries: [
          ...program.storage.map(({ role, binding }) => ({
            binding,
            resource: { buffer: bufferFor({ buffers: bound } as never, program.label, role) },
          })),
          { binding: program.uniformBinding, resource: { buffer } },
        ],
      });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(attentionWorkgroups(program, this.options.shape, length));
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    const output = await this.read(own.attention, queryHeads * headSize);
    for (const buffer of [...Object.values(own), ...uniforms]) buffer.destroy();
    return output;
  }

  /** The rows of K and V of a token, [kvHeads, headSize]. */
  private rowsOf(layer: number, id: number, position: number): Float32Array<ArrayBuffer>[] {
    const { shape, editRow } = this.options;
    const { k, v, positions } = this.layers[layer]!;
    const size = shape.kvHeads * shape.headSize;
    const key = k.slice(id * size, (id + 1) * size) as Float32Array<ArrayBuffer>;
    const at = (position % PERIOD) * size;
    for (let i = 0; i < size; i++) key[i]! += positions[at + i]!;
    const value = v.slice(id * size, (id + 1) * size) as Float32Array<ArrayBuffer>;
    editRow?.(key, layer, position);
    return [key, value];
  }

  private writeRow(buffer: GPUBuffer, row: Float32Array, position: number, capacity: number): void {
    const { kvHeads, headSize } = this.options.shape;
    for (let head = 0; head < kvHeads; head++) {
      const part = row.slice(head * headSize, (head + 1) * headSize);
      this.device.queue.writeBuffer(buffer, (head * capacity + position) * headSize * 4, part);
    }
  }

  private logitsOf(outputs: readonly Float32Array[], tokens: number): OrtTensor {
    const { queryHeads, headSize } = this.options.shape;
    const size = queryHeads * headSize;
    const logits = new Float32Array(tokens * VOCABULARY);
    for (let token = 0; token < VOCABULARY; token++) {
      let sum = 0;
      for (const [layer, output] of outputs.entries()) {
        const weights = this.layers[layer]!.logits;
        for (let i = 0; i < size; i++) sum += output[i]! * weights[token * size + i]!;
      }
      logits[(tokens - 1) * VOCABULARY + token] = sum;
    }
    this.seen.push(logits.slice((tokens - 1) * VOCABULARY));
    return new this.OrtTensor('float32', logits, [1, tokens, VOCABULARY]);
  }

  private tensorOf(buffer: GPUBuffer, dims: number[]): OrtTensor {
    return this.OrtTensor.fromGpuBuffer(buffer, {
      dataType: 'float32',
      dims,
      download: () => this.read(buffer, buffer.size / 4),
      dispose: () => buffer.destroy(),
    });
  }

  private compile(program: StandInProgram): Compiled {
    const { device } = this;
    const module = device.createShaderModule({ label: program.label, code: textOf(program) });
    const layout = device.createBindGroupLayout({ entries: layoutEntries(program) });
    const pipeline = device.createComputePipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    return { program, pipeline, layout };
  }

  private buffer(size: number, usage = GPUBufferUsage.STORAGE): GPUBuffer {
    const all = usage | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.createBuffer({ size, usage: all });
  }

  private filled(data: Float32Array | Int32Array | Uint8Array, usage?: number): GPUBuffer {
    const buffer = this.buffer(Math.max(16, data.byteLength), usage);
    this.device.queue.writeBuffer(buffer, 0, data as BufferSource);
    return buffer;
  }

  private async read(buffer: GPUBuffer, count: number): Promise<Float32Array<ArrayBuffer>> {
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    const staging = this.createBuffer({ size: count * 4, usage });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, count * 4);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const data = new Float32Array(staging.getMappedRange().slice(0));
    staging.destroy();
    return data;
  }
}

function tablesOf(random: Random, { queryHeads, kvHeads, headSize }: AttentionShape): LayerTables {
  return {
    q: random.normals(VOCABULARY * queryHeads * headSize, QUERY_SCALE),
    k: random.normals(VOCABULARY * kvHeads * headSize),
    v: random.normals(VOCABULARY * kvHeads * headSize),
    positions: random.normals(PERIOD * kvHeads * headSize),
    logits: random.normals(VOCABULARY * queryHeads * headSize),
  };
}
