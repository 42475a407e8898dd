import { type Interception, intercept } from '../shared/interception.ts';
import { BindGroupRecord } from './bind-group-record.ts';
import { noteBindGroup } from './device-finder.ts';
import { type DispatchHandler, type HookState, PassHook } from './pass-hook.ts';
import type { RuntimePatch } from './patch.ts';
import { matchProgram, type Program } from './program.ts';
import { programNotes, watchPrograms } from './program-notes.ts';
import { UniformRecord } from './uniforms.ts';

/**
 * Listens to one GPUDevice: which programs the runtime compiles, what it binds, and the uniforms it writes; and lets the
 * active handler replace dispatches. Only methods of this device's own objects are replaced, no prototypes.
 *
 * Everything that the runtime encodes goes through here, some 80 calls a layer, of which routing replaces six: what is noted
 * along the way must cost next to nothing (docs/lab/adapters.md has figures).
 */
export class DeviceHook implements HookState {
  private static readonly hooks = new WeakMap<GPUDevice, DeviceHook>();

  /** The hook of a device, installed on first use. */
  static of(device: GPUDevice, patch: RuntimePatch): DeviceHook {
    const existing = DeviceHook.hooks.get(device);
    if (existing) return existing;
    const hook = new DeviceHook(device, patch);
    DeviceHook.hooks.set(device, hook);
    return hook;
  }

  /** Receives dispatches while set; set only while a session with sift runs, see {@link claim}. */
  handler: DispatchHandler | undefined;
  readonly groups = new BindGroupRecord();
  private readonly programs = new WeakMap<GPUComputePipeline, Program | 'other'>();
  private users = 0;
  private interceptions: Interception[] = [];
  private readonly uniforms = new UniformRecord();

  private constructor(
    readonly device: GPUDevice,
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
    for (const interception of this.interceptions) interception.remove();
    this.interceptions = [];
    return true;
  }

  /**
   * Gives the dispatches to a handler, from now until {@link free}.
   * @returns false if another has them
   */
  claim(handler: DispatchHandler): boolean {
    if (this.handler) return false;
    this.handler = handler;
    return true;
  }

  free(handler: DispatchHandler): void {
    if (this.handler !== handler) return;
    this.handler = undefined;
    this.groups.clear();
  }

  /** The runtime's program of a pipeline; `'other'` if it is none of the patch's, undefined if its creation was not seen. */
  programOf(pipeline: GPUComputePipeline): Program | 'other' | undefined {
    const known = this.programs.get(pipeline);
    if (known) return known;
    const { modules, pipelines } = programNotes();
    const module = pipelines.get(pipeline);
    if (!module) return undefined;
    const notes = modules.get(module);
    const program =
      notes?.code === undefined ? 'other' : (matchProgram(this.patch, notes.label, notes.code) ?? 'other');
    this.programs.set(pipeline, program);
    return program;
  }

  /** The label of a pipeline's module; undefined if its creation was not seen. */
  labelOf(pipeline: GPUComputePipeline): string | undefined {
    const { modules, pipelines } = programNotes();
    const module = pipelines.get(pipeline);
    return module && modules.get(module)?.label;
  }

  /** The bytes last written to a uniform buffer while a handler was active. */
  uniformBytes(buffer: GPUBuffer): DataView | undefined {
    return this.uniforms.of(buffer);
  }

  private install(): void {
    const { device } = this;
    const { queue } = device;
    // Each does its part only while it is active: one that another library has buried may be called together with a newer one.
    this.interceptions = [
      ...watchPrograms(device),
      intercept(device, 'createBindGroup', (original, it) => (descriptor) => {
        if (it.active) noteBindGroup(device, descriptor);
        const group = original.call(device, descriptor);
        if (this.handler && it.active) this.groups.made(group, descriptor.entries);
        return group;
      }),
      intercept(device, 'createCommandEncoder', (original, it) => (descriptor) => {
        const encoder = original.call(device, descriptor);
        if (this.handler && it.active) this.hookEncoder(encoder);
        return encoder;
      }),
      intercept(queue, 'writeBuffer', (original, it) => (buffer, offset, data, dataOffset, size) => {
        original.call(queue, buffer, offset, data as BufferSource, dataOffset, size);
        // The runtime recycles uniform buffers: their contents count at the time of the dispatch, so they are copied.
        if (this.handler && it.active) this.uniforms.write(buffer, offset, data, dataOffset, size);
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
