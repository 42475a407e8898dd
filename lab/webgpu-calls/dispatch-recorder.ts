import type { Interception } from '../../src/adapters/shared/interception.ts';
import { UniformRecord } from '../../src/adapters/transformers/uniforms.ts';
import { type CapturedDispatch, type CompiledProgram, captureDispatch } from './captured-dispatch.ts';
import { observe, removeAll } from './observe.ts';

/** What a compute pass has set. */
interface PassState {
  pipeline?: CompiledProgram;
  /** Entries of bind group 0. */
  group?: readonly GPUBindGroupEntry[];
}

/**
 * Keeps the dispatches of every device in this process whose program has a wanted label. The devices need not exist yet: it is WebGPU's
 * classes that are observed, until {@link stop}.
 */
export class DispatchRecorder {
  /** The dispatches since the last {@link begin}, and the labels of all programs that were dispatched. */
  dispatches: CapturedDispatch[] = [];
  labels: string[] = [];
  private readonly modules = new WeakMap<GPUShaderModule, { label: string; code: string }>();
  private readonly pipelines = new WeakMap<GPUComputePipeline, CompiledProgram>();
  private readonly groups = new WeakMap<GPUBindGroup, readonly GPUBindGroupEntry[]>();
  private readonly passes = new WeakMap<GPUComputePassEncoder, PassState>();
  private readonly uniforms = new UniformRecord();
  private readonly interceptions: Interception[];

  /** @param isWanted - whether the dispatches of a program are kept, by its label */
  constructor(private readonly isWanted: (label: string) => boolean) {
    this.interceptions = [...this.observeDevices(), ...this.observePasses()];
  }

  /** Forgets the dispatches so far. */
  begin(): void {
    this.dispatches = [];
    this.labels = [];
  }

  stop(): void {
    removeAll(this.interceptions);
  }

  private observeDevices(): Interception[] {
    const device = GPUDevice.prototype;
    const remember = (pipeline: GPUComputePipeline, { compute }: GPUComputePipelineDescriptor) => {
      const module = this.modules.get(compute.module) ?? { label: '', code: '' };
      this.pipelines.set(pipeline, { ...module, constants: { ...compute.constants } });
    };
    return [
      observe(device, 'createShaderModule', (module, [{ label = '', code }]) =>
        this.modules.set(module, { label, code: String(code) }),
      ),
      observe(device, 'createComputePipeline', (pipeline, [descriptor]) => remember(pipeline, descriptor)),
      observe(device, 'createComputePipelineAsync', (promise, [descriptor]) => {
        // Whoever waits for the promise learns of the pipeline later than this. A failure is for them to see.
        promise.then(
          (pipeline) => remember(pipeline, descriptor),
          () => {},
        );
      }),
      observe(device, 'createBindGroup', (group, [{ entries }]) => this.groups.set(group, [...entries])),
      observe(GPUQueue.prototype, 'writeBuffer', (_, [buffer, offset, data, dataOffset, size]) =>
        this.uniforms.write(buffer, offset, data, dataOffset, size),
      ),
    ];
  }

  private observePasses(): Interception[] {
    const pass = GPUComputePassEncoder.prototype;
    const stateOf = (self: GPUComputePassEncoder): PassState => {
      const state = this.passes.get(self) ?? {};
      this.passes.set(self, state);
      return state;
    };
    return [
      observe(pass, 'setPipeline', (_, [pipeline], self) => {
        const known = this.pipelines.get(pipeline);
        if (known) stateOf(self).pipeline = known;
      }),
      observe(pass, 'setBindGroup', (_, [index, group], self) => {
        const known = group ? this.groups.get(group) : undefined;
        if (index === 0 && known) stateOf(self).group = known;
      }),
      observe(pass, 'dispatchWorkgroups', (_, [x, y = 1, z = 1], self) => {
        const { pipeline, group } = stateOf(self);
        this.labels.push(pipeline?.label || 'unknown');
        if (pipeline && group && this.isWanted(pipeline.label))
          this.dispatches.push(captureDispatch(pipeline, group, [x, y, z], this.uniforms));
      }),
    ];
  }
}
