import { SiftError } from '../../errors.ts';
import { allocate } from '../gpu/allocate.ts';

/** Names of the scratch buffers of a decode step. */
export type ScratchName = 'scores' | 'split_softmax' | 'split_output';

/** Bytes that a step needs of each scratch buffer. */
export type ScratchNeeds = Readonly<Partial<Record<ScratchName, number>>>;

/**
 * Buffers that live only within one layer's attention, shared by all layers of a session: their passes run one after another on the
 * device's queue. They grow by doubling. An outgrown buffer may still be named by encoded work, so it is destroyed later, by
 * {@link Scratch.collect}.
 */
export class Scratch {
  private readonly buffers = new Map<ScratchName, { buffer: GPUBuffer }>();
  private retired: GPUBuffer[] = [];

  constructor(private readonly device: GPUDevice) {}

  /** Whether every buffer is as large as a step needs it. */
  has(needs: ScratchNeeds): boolean {
    for (const name in needs) {
      const known = this.buffers.get(name as ScratchName);
      if (!known || known.buffer.size < needs[name as ScratchName]!) return false;
    }
    return true;
  }

  /**
   * Makes the buffers as large as a step needs them, so that {@link get} creates none while the runtime's commands are encoded.
   * @throws {SiftError} `OUT_OF_MEMORY`; the buffers are then as they were
   */
  async reserve(needs: ScratchNeeds): Promise<void> {
    const missing = (Object.entries(needs) as [ScratchName, number][]).filter(
      ([name, bytes]) => (this.buffers.get(name)?.buffer.size ?? 0) < bytes,
    );
    if (missing.length === 0) return;
    const sized = missing.map(([name, bytes]) => [name, this.sizeFor(name, bytes)] as const);
    const total = sized.reduce((sum, [, size]) => sum + size, 0);
    const made = await allocate(this.device, 'Scratch buffers need', total, () =>
      sized.map(([name, size]) => this.create(name, size)),
    );
    sized.forEach(([name], i) => {
      this.replace(name, made[i]!);
    });
  }

  /**
   * A buffer of at least `bytes`.
   * @throws {SiftError} `OUT_OF_MEMORY` if the device's binding limit is below that.
   */
  get(name: ScratchName, bytes: number): GPUBufferBinding {
    const known = this.buffers.get(name);
    if (known && known.buffer.size >= bytes) return known;
    return this.replace(name, this.create(name, this.sizeFor(name, bytes)));
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

  private sizeFor(name: ScratchName, bytes: number): number {
    const limit = Math.min(this.device.limits.maxStorageBufferBindingSize, this.device.limits.maxBufferSize);
    if (bytes > limit) {
      throw new SiftError(
        'OUT_OF_MEMORY',
        `The ${name} buffer needs ${bytes} bytes; this device binds at most ${limit}.`,
      );
    }
    let size = Math.max(4096, this.buffers.get(name)?.buffer.size ?? 0);
    while (size < bytes) size *= 2;
    return Math.min(size, limit - (limit % 256));
  }

  private create(name: ScratchName, size: number): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
    return this.device.createBuffer({ label: `sift ${name}`, size, usage });
  }

  private replace(name: ScratchName, buffer: GPUBuffer): GPUBufferBinding {
    const outgrown = this.buffers.get(name)?.buffer;
    if (outgrown) this.retired.push(outgrown);
    const binding = { buffer };
    this.buffers.set(name, binding);
    return binding;
  }
}
