import type { Interception } from '../../src/adapters/shared/interception.ts';
import { readDeclarations, type WgslUniform } from '../../src/adapters/shared/wgsl-declarations.ts';
import { UniformRecord } from '../../src/adapters/transformers/uniforms.ts';
import { readFields } from './field-values.ts';
import { Numbering } from './numbering.ts';
import { observe } from './observe.ts';
import type { BoundRange, DispatchState } from './webgpu-call.ts';

/** A pipeline's program, as far as its dispatches are described by it. */
interface Program {
  label: string;
  uniforms: readonly WgslUniform[];
}

type Entries = readonly GPUBindGroupEntry[];

/** What is known of WebGPU's objects from the calls that made them, so that what they are used for can be told as plain data. */
export class ObjectNotes {
  readonly buffers = new Numbering<GPUBuffer>();
  readonly pipelines = new Numbering<GPUComputePipeline>();
  /** What was last written to uniform buffers. */
  readonly uniforms = new UniformRecord();
  private readonly programs = new WeakMap<GPUComputePipeline, Program>();
  private readonly codes = new WeakMap<GPUShaderModule, { label: string; code: string }>();
  private readonly groups = new WeakMap<GPUBindGroup, Entries>();

  /** Watches the making of programs and bind groups on all devices. */
  observe(): Interception[] {
    const device = GPUDevice.prototype;
    const remember = (pipeline: GPUComputePipeline, { compute }: GPUComputePipelineDescriptor) => {
      const { label = '', code = '' } = this.codes.get(compute.module) ?? {};
      this.programs.set(pipeline, { label: label || 'unknown', uniforms: uniformsOf(code) });
    };
    return [
      observe(device, 'createShaderModule', (module, [{ label = '', code }]) =>
        this.codes.set(module, { label, code: String(code) }),
      ),
      observe(device, 'createComputePipeline', (pipeline, [descriptor]) => remember(pipeline, descriptor)),
      observe(device, 'createComputePipelineAsync', (promise, [descriptor]) => {
        // A failure is for the caller to see.
        promise.then(
          (pipeline) => remember(pipeline, descriptor),
          () => {},
        );
      }),
      observe(device, 'createBindGroup', (group, [{ entries }]) => this.groups.set(group, [...entries])),
    ];
  }

  entriesOf(group: GPUBindGroup | null | undefined): Entries {
    return (group && this.groups.get(group)) || [];
  }

  /** What a dispatch runs on, with its pipeline and the entries of bind group 0. */
  describe(pipeline: GPUComputePipeline | undefined, entries: Entries = []): DispatchState {
    const program = pipeline && this.programs.get(pipeline);
    const uniforms = program?.uniforms ?? [];
    const fields = uniforms.flatMap((uniform) => {
      const entry = entries.find(({ binding }) => binding === uniform.binding);
      const contents = entry && this.uniforms.of(rangeOf(entry).buffer);
      return contents ? readFields(uniform.fields, contents) : [];
    });
    return {
      label: program?.label ?? 'unknown',
      pipeline: pipeline ? this.pipelines.of(pipeline) : -1,
      fields,
    };
  }

  boundBy(entries: Iterable<GPUBindGroupEntry>): BoundRange[] {
    return [...entries].map((entry) => {
      const { buffer, offset = 0, size } = rangeOf(entry);
      return { binding: entry.binding, buffer: this.buffers.of(buffer), offset, size };
    });
  }
}

const rangeOf = ({ resource }: GPUBindGroupEntry): GPUBufferBinding =>
  resource instanceof GPUBuffer ? { buffer: resource } : (resource as GPUBufferBinding);

function uniformsOf(code: string): readonly WgslUniform[] {
  try {
    return readDeclarations(code).uniforms;
  } catch {
    // A program whose declarations are not understood is compared by its buffers alone.
    return [];
  }
}
