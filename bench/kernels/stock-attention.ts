import type { CapturedBinding, CapturedDispatch } from '../../lab/webgpu-calls/captured-dispatch.ts';
import type { InputSet } from './inputs.ts';

/** Replays the runtime's captured attention programs on buffers of the benchmark. */
export interface StockAttention {
  encode(pass: GPUComputePassEncoder, set: number): void;
  destroy(): void;
}

const BUFFER_TYPE = { uniform: 'uniform', read: 'read-only-storage', read_write: 'storage' } as const;

/** One program writes a buffer that the other reads, under another name. */
const ALIAS: Readonly<Record<string, string>> = { input: 'out_split_vx' };

/**
 * Compiles the programs as captured: their WGSL, workgroups, uniforms and sizes.
 * @throws {Error} if a program binds something that the benchmark does not know.
 */
export async function createStock(
  device: GPUDevice,
  programs: readonly CapturedDispatch[],
  length: number,
  sets: readonly InputSet[],
  output: GPUBuffer,
): Promise<StockAttention> {
  const own: GPUBuffer[] = [];
  const shared = new Map<string, GPUBuffer>([['output', output]]);
  const make = (size: number, usage: number, data?: ArrayBufferView<ArrayBuffer>) => {
    const buffer = device.createBuffer({
      size: Math.ceil(size / 16) * 16,
      usage: usage | GPUBufferUsage.COPY_DST,
    });
    if (data) device.queue.writeBuffer(buffer, 0, data);
    own.push(buffer);
    return buffer;
  };
  const bufferOf = (binding: CapturedBinding, set: InputSet): GPUBuffer => {
    const name = ALIAS[binding.name] ?? binding.name;
    if (name === 'q') return set.q;
    if (name === 'present_key') return set.keys;
    if (name === 'present_value') return set.values;
    const known = shared.get(name);
    if (known) return known;
    let made: GPUBuffer;
    if (name === 'seqlens_k') {
      made = make(binding.bytes, GPUBufferUsage.STORAGE, Int32Array.of(length - 1));
    } else if (name === 'out_split_vx' || name === 'metadata') {
      made = make(binding.bytes, GPUBufferUsage.STORAGE);
    } else {
      throw new Error(`The runtime binds "${binding.name}", which the benchmark does not know.`);
    }
    shared.set(name, made);
    return made;
  };

  const steps = await Promise.all(
    programs.map(async (program) => {
      const layout = device.createBindGroupLayout({
        label: program.label,
        entries: program.bindings.map(({ binding, access }) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: BUFFER_TYPE[access] },
        })),
      });
      const pipeline = await device.createComputePipelineAsync({
        label: program.label,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: {
          module: device.createShaderModule({ label: program.label, code: program.code }),
          entryPoint: 'main',
          constants: program.constants,
        },
      });
      const uniforms = new Map(
        program.bindings
          .filter(({ access }) => access === 'uniform')
          .map(({ binding, bytes, uniform }) => {
            if (!uniform) throw new Error(`The uniforms of ${program.label} were not seen.`);
            return [binding, make(bytes, GPUBufferUsage.UNIFORM, uniform.slice(0, bytes))];
          }),
      );
      const groups = sets.map((set) =>
        device.createBindGroup({
          layout,
          entries: program.bindings.map((binding) => ({
            binding: binding.binding,
            resource: { buffer: uniforms.get(binding.binding) ?? bufferOf(binding, set) },
          })),
        }),
      );
      return { pipeline, groups, workgroups: program.workgroups };
    }),
  );
  return {
    encode(pass, set) {
      for (const { pipeline, groups, workgroups } of steps) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, groups[set % groups.length]!);
        pass.dispatchWorkgroups(...workgroups);
      }
    },
    destroy() {
      for (const buffer of own) buffer.destroy();
    },
  };
}
