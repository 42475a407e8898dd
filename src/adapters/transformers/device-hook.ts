import { shadowMethod } from '../shadow.ts';
import type { WgslParser } from '../wgsl-parser.ts';
import type { RuntimePatch } from './patch.ts';
import { matchProgram, type Program } from './program.ts';

/** A dispatch that the runtime is about to encode. */
export interface Dispatch {
  pass: GPUComputePassEncoder;
  /** Undefined if the pipeline is none of the patch's. */
  program: Program | undefined;
  /** Whether the pipeline's creation was seen; if not, the plugin came too late for it. */
  known: boolean;
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
  /** The bind group's entries. */
  entries: readonly GPUBindGroupEntry[];
  workgroups: readonly [number, number, number];
}

/** Receives the dispatches of one `session.run`. */
export interface DispatchHandler {
  /** Returns true if the dispatch was replaced: the runtime's own is then not encoded. */
  dispatch(dispatch: Dispatch): boolean;
}

/** The buffer that an entry binds, if it binds one. */
export function bufferOfEntry(entry: GPUBindGroupEntry | undefined): GPUBufferBinding | undefined {
  const resource = entry?.resource;
  if (typeof resource !== 'object') return undefined;
  if (resource instanceof GPUBuffer) return { buffer: resource };
  return 'buffer' in resource ? (resource as GPUBufferBinding) : undefined;
}

/**
 * Listens to one GPUDevice: which programs the runtime compiles, what it binds, and the uniforms it writes; and lets the
 * active handler replace dispatches. Only methods of this device's own objects are replaced, no prototypes.
 */
export class DeviceHook {
  private static readonly hooks = new WeakMap<GPUDevice, DeviceHook>();

  /** The hook of a device, installed on first use. */
  static of(device: GPUDevice, parser: WgslParser, patch: RuntimePatch): DeviceHook {
    const existing = DeviceHook.hooks.get(device);
    if (existing) return existing;
    const hook = new DeviceHook(device, parser, patch);
    DeviceHook.hooks.set(device, hook);
    return hook;
  }

  /** Receives dispatches while set; set only while a session with sift runs. */
  handler: DispatchHandler | undefined;
  private users = 0;
  private restore: (() => void)[] = [];
  private readonly modules = new WeakMap<GPUShaderModule, Program>();
  private readonly pipelines = new WeakMap<GPUComputePipeline, Program | 'other'>();
  private readonly groups = new WeakMap<GPUBindGroup, readonly GPUBindGroupEntry[]>();
  private readonly uniforms = new WeakMap<GPUBuffer, Uint8Array<ArrayBuffer>>();

  private constructor(
    readonly device: GPUDevice,
    private readonly parser: WgslParser,
    private readonly patch: RuntimePatch,
  ) {}

  /** Installs the hook for one more user. */
  acquire(): void {
    if (this.users++ === 0) this.install();
  }

  /**
   * Removes the hook with its last user: the device's methods are then the browser's own again. What is known of the pipelines
   * stays, so that sift can be enabled again later.
   * @returns whether it was the last user.
   */
  release(): boolean {
    if (--this.users > 0) return false;
    this.handler = undefined;
    for (const restore of this.restore) restore();
    this.restore = [];
    return true;
  }

  /** The bytes last written to a uniform buffer while a handler was active. */
  uniformBytes(buffer: GPUBuffer): DataView | undefined {
    const bytes = this.uniforms.get(buffer);
    return bytes && new DataView(bytes.buffer);
  }

  private install(): void {
    const { device } = this;
    const { queue } = device;
    const createShaderModule = device.createShaderModule.bind(device);
    const createPipeline = device.createComputePipeline.bind(device);
    const createPipelineAsync = device.createComputePipelineAsync.bind(device);
    const createBindGroup = device.createBindGroup.bind(device);
    const createCommandEncoder = device.createCommandEncoder.bind(device);
    const writeBuffer = queue.writeBuffer.bind(queue);
    const remember = (pipeline: GPUComputePipeline, descriptor: GPUComputePipelineDescriptor) => {
      this.pipelines.set(pipeline, this.modules.get(descriptor.compute.module) ?? 'other');
      return pipeline;
    };
    this.restore = [
      shadowMethod(device, 'createShaderModule', (descriptor) => {
        const module = createShaderModule(descriptor);
        const program = matchProgram(
          this.parser,
          this.patch,
          descriptor.label ?? '',
          String(descriptor.code),
        );
        if (program) this.modules.set(module, program);
        return module;
      }),
      shadowMethod(device, 'createComputePipeline', (descriptor) =>
        remember(createPipeline(descriptor), descriptor),
      ),
      shadowMethod(device, 'createComputePipelineAsync', async (descriptor) =>
        remember(await createPipelineAsync(descriptor), descriptor),
      ),
      shadowMethod(device, 'createBindGroup', (descriptor) => {
        const group = createBindGroup(descriptor);
        if (this.handler) this.groups.set(group, [...descriptor.entries]);
        return group;
      }),
      shadowMethod(device, 'createCommandEncoder', (descriptor) => {
        const encoder = createCommandEncoder(descriptor);
        if (this.handler) this.hookEncoder(encoder);
        return encoder;
      }),
      shadowMethod(queue, 'writeBuffer', (buffer, offset, data, dataOffset, size) => {
        writeBuffer(buffer, offset, data as BufferSource, dataOffset, size);
        // The runtime recycles uniform buffers: their contents count at the time of the dispatch, so they are copied.
        if (this.handler && buffer.usage & GPUBufferUsage.UNIFORM) {
          this.recordUniform(buffer, offset, data, dataOffset, size);
        }
      }),
    ];
  }

  private recordUniform(
    buffer: GPUBuffer,
    offset: number,
    data: ArrayBufferView | ArrayBufferLike,
    dataOffset = 0,
    size?: number,
  ): void {
    const view = ArrayBuffer.isView(data);
    const unit = view && 'BYTES_PER_ELEMENT' in data ? (data as Uint8Array).BYTES_PER_ELEMENT : 1;
    const start = (view ? data.byteOffset : 0) + dataOffset * unit;
    const length = size === undefined ? data.byteLength - dataOffset * unit : size * unit;
    const bytes = this.uniforms.get(buffer) ?? new Uint8Array(buffer.size);
    bytes.set(new Uint8Array(view ? data.buffer : data, start, length), offset);
    this.uniforms.set(buffer, bytes);
  }

  private hookEncoder(encoder: GPUCommandEncoder): void {
    const beginComputePass = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (descriptor) => {
      const pass = beginComputePass(descriptor);
      this.hookPass(pass);
      return pass;
    };
  }

  private hookPass(pass: GPUComputePassEncoder): void {
    let pipeline: GPUComputePipeline | undefined;
    let group: GPUBindGroup | null | undefined;
    // Our own encoding goes through the originals, so that it is not seen as the runtime's.
    const setPipeline = pass.setPipeline.bind(pass);
    const setBindGroup = pass.setBindGroup.bind(pass) as (...args: unknown[]) => undefined;
    const dispatchWorkgroups = pass.dispatchWorkgroups.bind(pass);
    pass.setPipeline = (next) => {
      pipeline = next;
      setPipeline(next);
    };
    pass.setBindGroup = (...args: unknown[]) => {
      if (args[0] === 0) group = args[1] as GPUBindGroup | null;
      setBindGroup(...args);
    };
    const raw = { setPipeline, setBindGroup, dispatchWorkgroups } as unknown as GPUComputePassEncoder;
    pass.dispatchWorkgroups = (x, y = 1, z = 1) => {
      const entries = group ? this.groups.get(group) : undefined;
      if (this.handler && pipeline && group && entries) {
        const program = this.pipelines.get(pipeline);
        const replaced = this.handler.dispatch({
          pass: raw,
          program: program === 'other' ? undefined : program,
          known: program !== undefined,
          pipeline,
          group,
          entries,
          workgroups: [x, y, z],
        });
        if (replaced) return;
      }
      dispatchWorkgroups(x, y, z);
    };
  }
}
