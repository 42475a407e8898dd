import { KV_BINDING } from './kv-layout.ts';
import type { Kernel } from './pipelines.ts';

/** A bind group and what it binds. */
interface Entry {
  group: GPUBindGroup;
  buffers: GPUBuffer[];
  offsets: number[];
  sizes: (number | undefined)[];
}

/** Bind groups that a layer may need in turns: its outputs and queries may alternate between two sets of buffers. */
const KEPT = 2;

/**
 * The bind groups of one layer's kernels, made again only where a buffer has changed. Few are kept, since a bind group keeps
 * its buffers alive.
 */
export class BindGroupCache {
  private readonly entries = new Map<Kernel, Entry[]>();

  /**
   * @param params uniform buffer at binding 0, with a dynamic offset
   * @param bindings buffers at bindings 1, 2…
   * @param kv buffers of the KV layout
   */
  get(
    device: GPUDevice,
    kernel: Kernel,
    params: GPUBuffer,
    bindings: readonly GPUBufferBinding[],
    kv: readonly GPUBufferBinding[],
  ): GPUBindGroup {
    const known = this.entries.get(kernel) ?? [];
    if (known.length === 0) this.entries.set(kernel, known);
    for (const entry of known) if (matches(entry, params, bindings, kv)) return entry.group;
    const group = device.createBindGroup({
      layout: kernel.layout,
      entries: [
        { binding: 0, resource: { buffer: params, size: 64 } },
        ...bindings.map((resource, i) => ({ binding: i + 1, resource })),
        ...kv.map((resource, i) => ({ binding: KV_BINDING + i, resource })),
      ],
    });
    const all = [...bindings, ...kv];
    known.unshift({
      group,
      buffers: [params, ...all.map((b) => b.buffer)],
      offsets: all.map((b) => b.offset ?? 0),
      sizes: all.map((b) => b.size),
    });
    known.length = Math.min(known.length, KEPT);
    return group;
  }
}

function matches(
  entry: Entry,
  params: GPUBuffer,
  bindings: readonly GPUBufferBinding[],
  kv: readonly GPUBufferBinding[],
): boolean {
  const { buffers, offsets, sizes } = entry;
  if (buffers[0] !== params || sizes.length !== bindings.length + kv.length) return false;
  for (let i = 0; i < sizes.length; i++) {
    const b = i < bindings.length ? bindings[i]! : kv[i - bindings.length]!;
    if (buffers[i + 1] !== b.buffer || offsets[i] !== (b.offset ?? 0) || sizes[i] !== b.size) return false;
  }
  return true;
}
