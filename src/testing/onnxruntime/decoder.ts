import type { OrtTensor } from '../../adapters/transformers/runtime.ts';
import { download, upload } from '../../kernel/gpu/transfer.ts';
import { type AttentionInputs, createRandom } from '../../oracle/index.ts';
import { attentionPrograms, copyProgram, type ProgramOptions } from './attention-programs.ts';
import { attentionUniforms, attentionWorkgroups } from './attention-sizes.ts';
import { bufferFor, type Layer, type LayerOptions, makeLayer, rowsOf, writeNewRow } from './layer.ts';
import { layoutEntries, type StandInProgram, textOf, uniformBytes } from './program.ts';

export interface DecoderOptions extends Omit<ProgramOptions, 'dtype'>, LayerOptions {
  layers: number;
  seed: number;
  /** The attention is dispatched by `dispatchWorkgroupsIndirect`. */
  indirect?: boolean;
  /** Writes the programs of the attention in another way, or changes what they do. */
  edit?: (programs: StandInProgram[]) => StandInProgram[];
}

/** What a decode step works on. */
export interface DecodeStep {
  /** Keys in the cache, the new one included. */
  length: number;
  /** The value of `local_window_size`; 0: no window. */
  window?: number;
}

/** A program that the device has compiled. */
interface Compiled {
  program: StandInProgram;
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

/** Dispatches between two submits. It is odd, so that the programs of an attention are sometimes separated by one. */
const FLUSH = 5;

/**
 * Decodes as onnxruntime-web does on WebGPU, with programs of ours and without a model: modules with labels, a uniform buffer for each
 * dispatch that is used again after the next submit, a bind group for each dispatch, a pass for all dispatches between two submits.
 * Queries, keys and values are random.
 */
export class StandInDecoder {
  /** [queryHeads]: the logarithm of what the sink of each head adds to its denominator. */
  readonly sinks: Float32Array;
  private readonly copy: Compiled;
  private readonly attention: Compiled[];
  private readonly layers: Layer[];
  private readonly lengths: GPUBuffer;
  private readonly totals: GPUBuffer;
  private readonly uniformBuffers: GPUBuffer[] = [];
  private readonly counts = new Map<number, GPUBuffer>();

  /**
   * Compiles the programs.
   * @throws {Error} if one does not compile
   */
  static async create(device: GPUDevice, options: DecoderOptions): Promise<StandInDecoder> {
    device.pushErrorScope('validation');
    const decoder = new StandInDecoder(device, options);
    const error = await device.popErrorScope();
    if (!error) return decoder;
    decoder.destroy();
    throw new Error(error.message);
  }

  private constructor(
    private readonly device: GPUDevice,
    readonly options: DecoderOptions,
  ) {
    const { shape, layers, seed, edit = (programs) => programs } = options;
    const given = { ...options, dtype: shape.dtype };
    const random = createRandom(seed);
    this.copy = this.compile(copyProgram(given));
    this.attention = edit(attentionPrograms(given)).map((program) => this.compile(program));
    this.sinks = random.normals(shape.queryHeads, 2);
    this.lengths = upload(device, [0], 'i32');
    this.totals = upload(device, [0], 'i32');
    const shared = {
      seqlens_k: this.lengths,
      total_sequence_length_input: this.totals,
      head_sink: upload(device, this.sinks, shape.dtype),
    };
    this.layers = Array.from({ length: layers }, () => makeLayer(device, random, options, shared));
  }

  /** The inputs of the session's run, as far as the plugin looks at them. */
  get feeds(): Record<string, OrtTensor> {
    // Quantised rows are not copied here: the cache is shared.
    const past = this.options.quantised ? 'present_key' : 'past_key';
    return Object.fromEntries(
      this.layers.map(({ buffers }, layer) => [
        `past_key_values.${layer}.key`,
        { location: 'gpu-buffer', gpuBuffer: buffers[past] } as OrtTensor,
      ]),
    );
  }

  /** Makes a step on new buffers of rows and reads the output of every layer, [queryHeads, headSize]. */
  async outputs(step: DecodeStep): Promise<Float32Array[]> {
    const { device, options } = this;
    const { queryHeads, headSize, dtype } = options.shape;
    const { queue } = device;
    queue.writeBuffer(this.lengths, 0, new Int32Array([step.length - 1]));
    queue.writeBuffer(this.totals, 0, new Int32Array([step.length]));
    const encoder = device.createCommandEncoder();
    for (const layer of this.layers) {
      writeNewRow(device, layer, options, step.length - 1);
      const { attention, present_key, present_value } = layer.buffers;
      const cleared = options.quantised ? [attention!] : [attention!, present_key!, present_value!];
      for (const buffer of cleared) encoder.clearBuffer(buffer);
    }
    queue.submit([encoder.finish()]);
    this.encode(step);
    const size = queryHeads * headSize;
    return Promise.all(this.layers.map(({ buffers }) => download(device, buffers.attention!, size, dtype)));
  }

  /** What the attention of a layer works on, for the oracle: the keys of the window alone. */
  inputsOf(layer: number, { length, window = 0 }: DecodeStep): AttentionInputs {
    const { options } = this;
    const { q, k, v } = this.layers[layer]!;
    const rows = window > 0 ? Math.min(window, length) : length;
    const cut = (all: Float32Array) => rowsOf(all, options, length - rows, length);
    const { queryHeads, kvHeads, headSize } = options.shape;
    const sinks = options.sinks ? { sinks: this.sinks } : {};
    const inputs = { q, k: cut(k), v: cut(v), batch: 1, capacity: rows, lengths: rows };
    return { queryHeads, kvHeads, headSize, ...inputs, ...sinks };
  }

  destroy(): void {
    const all = this.layers.flatMap(({ buffers }) => Object.values(buffers));
    const others = [this.lengths, this.totals, ...this.uniformBuffers, ...this.counts.values()];
    for (const buffer of [...all, ...others]) buffer.destroy();
  }

  /** Encodes and submits the dispatches of a step. */
  private encode(step: DecodeStep): void {
    const { device, options } = this;
    let encoder = device.createCommandEncoder();
    let pass = encoder.beginComputePass();
    let uses = 0;
    let dispatches = 0;
    const submit = () => {
      pass.end();
      device.queue.submit([encoder.finish()]);
      uses = 0;
    };
    for (const layer of this.layers) {
      for (const compiled of options.quantised ? this.attention : [this.copy, ...this.attention]) {
        if (++dispatches % FLUSH === 0) {
          submit();
          encoder = device.createCommandEncoder();
          pass = encoder.beginComputePass();
        }
        const { program, pipeline } = compiled;
        const count = attentionWorkgroups(program, this.options.shape, step.length);
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, this.bind(compiled, layer, uses++, step));
        if (options.indirect && compiled !== this.copy) {
          pass.dispatchWorkgroupsIndirect(this.countBuffer(count), 0);
        } else pass.dispatchWorkgroups(count);
      }
    }
    submit();
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

  private bind({ program, layout }: Compiled, layer: Layer, use: number, step: DecodeStep): GPUBindGroup {
    const { device } = this;
    this.uniformBuffers[use] ??= device.createBuffer({
      size: 256,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    const uniforms = this.uniformBuffers[use]!;
    const { shape, capacity, captured } = this.options;
    const sizes = { ...step, capacity, pastCapacity: capacity, captured: captured ?? false };
    device.queue.writeBuffer(uniforms, 0, uniformBytes(program.uniforms, attentionUniforms(shape, sizes)));
    const buffers = program.storage.map(({ role, binding }) => ({
      binding,
      resource: { buffer: bufferFor(layer, program.label, role) },
    }));
    return device.createBindGroup({
      layout,
      entries: [...buffers, { binding: program.uniformBinding, resource: { buffer: uniforms } }],
    });
  }

  private countBuffer(count: number): GPUBuffer {
    const known = this.counts.get(count);
    if (known) return known;
    const { device } = this;
    const buffer = device.createBuffer({
      size: 12,
      usage: GPUBufferUsage.INDIRECT | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(buffer, 0, new Uint32Array([count, 1, 1]));
    this.counts.set(count, buffer);
    return buffer;
  }
}
