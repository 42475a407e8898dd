import { BUFFERS, PARAMS_BYTES } from '../text/schema.ts';
import type { CompiledKernel } from './kernel-set.ts';

/** The buffers of a dispatch, indexed by `BUFFER_SLOT`. */
export type BoundBuffers = (GPUBufferBinding | undefined)[];

/** A bind group, and the buffers that it binds. */
interface Entry {
  group: GPUBindGroup;
  params: GPUBuffer;
  buffers: GPUBuffer[];
  offsets: number[];
  sizes: (number | undefined)[];
}

/**
 * Bind groups to keep of each kernel. A runtime takes q and output from a pool, and has the same buffers again
 * after up to six steps.
 */
const KEPT = 8;

/**
 * Keeps the bind groups of one layer's kernels, and makes one only when a buffer has changed. It keeps few,
 * since a bind group keeps its buffers alive, and each is looked through.
 */
export class BindGroupCache {
  private readonly entries = new Map<CompiledKernel, Entry[]>();

  /**
   * The bind group of a kernel for the given buffers.
   *
   * @param params the uniform buffer at binding 0, bound with a dynamic offset
   * @param bound the buffers, of which the kernel takes those it has
   * @throws {Error} if a buffer of the kernel is not bound
   */
  get(device: GPUDevice, compiled: CompiledKernel, params: GPUBuffer, bound: BoundBuffers): GPUBindGroup {
    const known = this.entries.get(compiled) ?? [];
    if (known.length === 0) this.entries.set(compiled, known);
    for (const entry of known) if (matches(entry, compiled.slots, params, bound)) return entry.group;
    const all = compiled.slots.map((slot) => {
      const binding = bound[slot];
      if (!binding) throw new Error(`no buffer for ${Object.keys(BUFFERS)[slot]} of ${compiled.kernel.name}`);
      return binding;
    });
    const group = device.createBindGroup({
      layout: compiled.layout,
      entries: [
        { binding: 0, resource: { buffer: params, size: PARAMS_BYTES } },
        ...all.map((resource, i) => ({ binding: i + 1, resource })),
      ],
    });
    known.unshift({
      group,
      params,
      buffers: all.map(({ buffer }) => buffer),
      offsets: all.map(({ offset }) => offset ?? 0),
      sizes: all.map(({ size }) => size),
    });
    known.length = Math.min(known.length, KEPT);
    return group;
  }
}

/** Whether a bind group binds these buffers. */
function matches(entry: Entry, slots: readonly number[], params: GPUBuffer, bound: BoundBuffers): boolean {
  if (entry.params !== params) return false;
  const { buffers, offsets, sizes } = entry;
  for (let i = 0; i < slots.length; i++) {
    const b = bound[slots[i]!];
    if (!b || buffers[i] !== b.buffer || offsets[i] !== (b.offset ?? 0) || sizes[i] !== b.size) return false;
  }
  return true;
}
