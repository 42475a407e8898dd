import { shadowMethod } from '../shadow.ts';
import type { WgslParser } from '../wgsl-parser.ts';
import { type DispatchHandler, type HookState, PassHook, type TaggedGroup } from './pass-hook.ts';
import type { RuntimePatch } from './patch.ts';
import { matchProgram, type Program } from './program.ts';
import { UniformRecord } from './uniforms.ts';

/** The buffer that an entry binds, if it binds one. */
export function bufferOfEntry(entry: GPUBindGroupEntry | undefined): GPUBufferBinding | undefined {
  const resource = entry?.resource;
  if (typeof resource !== 'object') return undefined;
  if ('buffer' in resource) return resource as GPUBufferBinding;
  return resource instanceof GPUBuffer ? { buffer: resource } : undefined;
}

/**
 * Listens to one GPUDevice: which programs the runtime compiles, what it binds, and the uniforms it writes; and lets the
 * active handler replace dispatches. Only methods of this device's own objects are replaced, no prototypes.
 *
 * Everything that the runtime encodes goes through here, some 80 calls a layer, of which routing concerns three: what is noted
 * along the way must cost next to nothing (docs/adapter.md has figures).
 */
export class DeviceHook implements HookState {
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
  readonly pipelines = new WeakMap<GPUComputePipeline, Program | 'other'>();
  private users = 0;
  private restore: (() => void)[] = [];
  private readonly modules = new WeakMap<GPUShaderModule, Program>();
  private readonly uniforms = new UniformRecord();

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
    return this.uniforms.of(buffer);
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
        const group: TaggedGroup = createBindGroup(descriptor);
        if (this.handler) PassHook.tag(group, descriptor.entries);
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
        if (this.handler) this.uniforms.write(buffer, offset, data, dataOffset, size);
      }),
    ];
  }

  private hookEncoder(encoder: GPUCommandEncoder): void {
    const beginComputePass = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (descriptor) => {
      const pass = beginComputePass(descriptor);
      new PassHook(pass, this).install();
      return pass;
    };
  }
}
