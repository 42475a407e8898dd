import { SiftError } from '../../errors.ts';

/** Names of the scratch buffers of a decode step. */
export type ScratchName = 'scores' | 'split_softmax' | 'split_output';

/**
 * Buffers that live only within one layer's attention, shared by all layers and sessions of a device: their passes run one
 * after another on its queue. They grow by doubling. An outgrown buffer may still be named by encoded work, so it is
 * destroyed later, by {@link Scratch.collect}.
 */
export class Scratch {
  private readonly buffers = new Map<ScratchName, { buffer: GPUBuffer }>();
  private retired: GPUBuffer[] = [];

  constructor(private readonly device: GPUDevice) {}

  /**
   * A buffer of at least `bytes`.
   * @throws {SiftError} `OUT_OF_MEMORY` if the device's binding limit is below that.
   */
  get(name: ScratchName, bytes: number): GPUBufferBinding {
    const known = this.buffers.get(name);
    const current = known?.buffer;
    if (known && known.buffer.size >= bytes) return known;
    const limit = Math.min(this.device.limits.maxStorageBufferBindingSize, this.device.limits.maxBufferSize);
    if (bytes > limit) {
      throw new SiftError(
        'OUT_OF_MEMORY',
        `The ${name} buffer needs ${bytes} bytes; this device binds at most ${limit}.`,
      );
    }
    let size = Math.max(4096, current?.size ?? 0);
    while (size < bytes) size *= 2;
    size = Math.min(size, limit - (limit % 256));
    const buffer = this.device.createBuffer({
      label: `sift ${name}`,
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    });
    if (current) this.retired.push(current);
    const binding = { buffer };
    this.buffers.set(name, binding);
    return binding;
  }

  /** Destroys outgrown buffers. Call when all work that named them has been submitted. */
  collect(): void {
    for (const buffer of this.retired) buffer.destroy();
    this.retired = [];
  }

  destroy(): void {
    this.collect();
    for (const { buffer } of this.buffers.values()) buffer.destroy();
    this.buffers.clear();
  }
}
