import type { AttentionShape } from '../src/kernel/shape.ts';
import { type CapturedProgram, type Compiled, captureDispatch } from './captured.ts';
import { attentionModel, type OrtModule } from './ort.ts';

/** How the labels of the runtime's programs for a decode step's attention begin. */
const LABEL = 'FlashAttentionDecode';

type Method = (this: object, ...args: never[]) => unknown;

/**
 * Runs onnxruntime-web in this process and records the dispatches of a decode step. The prototypes' methods are wrapped while it
 * lives; `restore` puts them back.
 */
export class RuntimeCapture {
  private readonly modules = new WeakMap<object, { label: string; code: string }>();
  private readonly pipelines = new WeakMap<object, Compiled>();
  private readonly groups = new WeakMap<object, GPUBindGroupEntry[]>();
  private readonly uniforms = new WeakMap<object, Uint8Array<ArrayBuffer>>();
  private readonly current = new WeakMap<object, { pipeline?: Compiled; group?: GPUBindGroupEntry[] }>();
  private readonly undo: (() => void)[] = [];
  private programs: CapturedProgram[] = [];
  private seen: string[] = [];

  constructor(private readonly ort: OrtModule) {
    this.wrap();
  }

  /**
   * The attention programs of a decode step with `length` keys in the cache, the new one included.
   * @throws {Error} if the runtime does not run its flash decode programs.
   */
  async decodeStep(shape: AttentionShape, length: number): Promise<CapturedProgram[]> {
    const { ort } = this;
    const { queryHeads, kvHeads, headSize, dtype } = shape;
    const session = await ort.InferenceSession.create(attentionModel(shape), {
      executionProviders: ['webgpu'],
      preferredOutputLocation: 'gpu-buffer',
    });
    const type = dtype === 'f16' ? 'float16' : 'float32';
    const device = (await ort.env.webgpu.device) as GPUDevice;
    const past = [1, kvHeads, length - 1, headSize];
    const bytes = Math.ceil((kvHeads * (length - 1) * headSize * (dtype === 'f16' ? 2 : 4)) / 16) * 16;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffers = [0, 1].map(() => device.createBuffer({ size: bytes, usage }));
    const [pastKey, pastValue] = buffers.map((buffer) =>
      ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims: past }),
    );
    const row = (heads: number) => {
      const size = heads * headSize;
      return dtype === 'f16'
        ? new ort.Tensor('float16', new Uint16Array(size).fill(0x3800), [1, 1, size])
        : new ort.Tensor('float32', new Float32Array(size).fill(0.5), [1, 1, size]);
    };
    this.programs = [];
    this.seen = [];
    const results = await session.run({
      query: row(queryHeads),
      key: row(kvHeads),
      value: row(kvHeads),
      past_key: pastKey!,
      past_value: pastValue!,
      seqlens_k: new ort.Tensor('int32', Int32Array.of(length - 1), [1]),
      total_length: new ort.Tensor('int32', Int32Array.of(length), []),
    });
    await device.queue.onSubmittedWorkDone();
    for (const tensor of Object.values(results)) tensor.dispose();
    await session.release();
    for (const buffer of buffers) buffer.destroy();
    if (this.programs.length !== 2) {
      throw new Error(`The runtime did not run its two decode programs, but: ${this.seen.join(', ')}`);
    }
    return this.programs;
  }

  /** Takes the wrappers away. */
  restore(): void {
    for (const undo of this.undo.splice(0).reverse()) undo();
  }

  private patch(prototype: object, name: string, make: (original: Method) => Method): void {
    const target = prototype as Record<string, Method>;
    const original = target[name]!;
    target[name] = make(original);
    this.undo.push(() => {
      target[name] = original;
    });
  }

  private wrap(): void {
    const self = this;
    const device = GPUDevice.prototype;
    const pass = GPUComputePassEncoder.prototype;
    const compiled = (descriptor: GPUComputePipelineDescriptor): Compiled => ({
      ...(self.modules.get(descriptor.compute.module) ?? { label: '', code: '' }),
      constants: { ...descriptor.compute.constants },
    });
    const state = (encoder: object) => {
      const known = self.current.get(encoder) ?? {};
      self.current.set(encoder, known);
      return known;
    };
    this.patch(
      device,
      'createShaderModule',
      (original) =>
        function (descriptor: GPUShaderModuleDescriptor) {
          const module = original.call(this, descriptor as never) as object;
          self.modules.set(module, { label: descriptor.label ?? '', code: String(descriptor.code) });
          return module;
        },
    );
    this.patch(
      device,
      'createComputePipeline',
      (original) =>
        function (descriptor: GPUComputePipelineDescriptor) {
          const pipeline = original.call(this, descriptor as never) as object;
          self.pipelines.set(pipeline, compiled(descriptor));
          return pipeline;
        },
    );
    this.patch(
      device,
      'createComputePipelineAsync',
      (original) =>
        async function (descriptor: GPUComputePipelineDescriptor) {
          const pipeline = (await original.call(this, descriptor as never)) as object;
          self.pipelines.set(pipeline, compiled(descriptor));
          return pipeline;
        },
    );
    this.patch(
      device,
      'createBindGroup',
      (original) =>
        function (descriptor: GPUBindGroupDescriptor) {
          const group = original.call(this, descriptor as never) as object;
          self.groups.set(group, [...descriptor.entries]);
          return group;
        },
    );
    this.patch(
      GPUQueue.prototype,
      'writeBuffer',
      (original) =>
        function (
          buffer: GPUBuffer,
          offset: number,
          data: ArrayBufferLike | ArrayBufferView,
          dataOffset = 0,
          size?: number,
        ) {
          // Dawn in Node refuses shared memory, in which the runtime's wasm keeps everything.
          const bytes = copyOf(data, dataOffset, size);
          if (buffer.usage & GPUBufferUsage.UNIFORM) {
            const known = self.uniforms.get(buffer) ?? new Uint8Array(buffer.size);
            known.set(bytes, offset);
            self.uniforms.set(buffer, known);
          }
          return (original as (...args: unknown[]) => unknown).call(this, buffer, offset, bytes);
        },
    );
    this.patch(
      pass,
      'setPipeline',
      (original) =>
        function (pipeline: GPUComputePipeline) {
          const known = self.pipelines.get(pipeline);
          if (known) state(this).pipeline = known;
          return original.call(this, pipeline as never);
        },
    );
    this.patch(
      pass,
      'setBindGroup',
      (original) =>
        function (...args: unknown[]) {
          const known = args[1] ? self.groups.get(args[1]) : undefined;
          if (args[0] === 0 && known) state(this).group = known;
          return (original as (...args: unknown[]) => unknown).apply(this, args);
        },
    );
    this.patch(
      pass,
      'dispatchWorkgroups',
      (original) =>
        function (x: number, y = 1, z = 1) {
          const { pipeline, group } = state(this);
          if (pipeline?.label.startsWith(LABEL) && group) {
            self.programs.push(captureDispatch(pipeline, group, [x, y, z], self.uniforms));
          }
          self.seen.push(pipeline?.label || 'unknown');
          return (original as (...args: unknown[]) => unknown).call(this, x, y, z);
        },
    );
  }
}

function copyOf(
  data: ArrayBufferLike | ArrayBufferView,
  dataOffset: number,
  size?: number,
): Uint8Array<ArrayBuffer> {
  const view = ArrayBuffer.isView(data);
  const unit = view && 'BYTES_PER_ELEMENT' in data ? (data as Uint8Array).BYTES_PER_ELEMENT : 1;
  const start = (view ? data.byteOffset : 0) + dataOffset * unit;
  const length = size === undefined ? data.byteLength - dataOffset * unit : size * unit;
  return new Uint8Array(new Uint8Array(view ? data.buffer : data, start, length));
}
