import { SiftError } from '../../errors.ts';
import { allocate } from '../gpu/allocate.ts';

/** Names of the scratch buffers of a decode step. */
export type ScratchName = 'scores' | 'split_softmax' | 'split_output';

/** Bytes that a step needs of each scratch buffer. */
export type ScratchNeeds = Readonly<Partial<Record<ScratchName, number>>>;

/**
 * Buffers whose contents are only needed within one layer's attention. All layers of a session share them,
 * since their passes run one after another on the device's queue. They grow by doubling. Encoded work may
 * still name an outgrown buffer, so that {@link Scratch.collect} destroys it later.
 */
export class Scratch {
  private readonly buffers = new Map<ScratchName, { buffer: GPUBuffer }>();
  private retired: GPUBuffer[] = [];

  constructor(private readonly device: GPUDevice) {}

  /** Whether every buffer is large enough for a step. */
  has(needs: ScratchNeeds): boolean {
    for (const name in needs) {
      const known = this.buffers.get(name as ScratchName);
      if (!known || known.buffer.size < needs[name as ScratchName]!) return false;
    }
    return true;
  }

  /**
   * Makes the buffers large enough for a step, so that {@link get} creates none while the runtime encodes
   * commands.
   * @throws {SiftError} `OUT_OF_MEMORY` if the device lacks the memory. The buffers are then as before.
   */
  async reserve(needs: ScratchNeeds): Promise<void> {
    if (this.has(needs)) return;
    const missing = (Object.entries(needs) as [ScratchName, number][]).filter(
      ([name, bytes]) => !this.has({ [name]: bytes }),
    );
    const sized = missing.map(([name, bytes]) => [name, this.sizeFor(name, bytes)] as const);
    const made = await allocate(this.device, 'Scratch buffers need', 0, () =>
      sized.map(([name, size]) => this.create(name, size)),
    );
    sized.forEach(([name], i) => {
      this.replace(name, made[i]!);
    });
  }

  /**
   * A buffer of at least `bytes`, made if there is none.
   * @throws {SiftError} `OUT_OF_MEMORY` if the device cannot bind a buffer of that size.
   */
  get(name: ScratchName, bytes: number): GPUBufferBinding {
    const known = this.buffers.get(name);
    if (known && known.buffer.size >= bytes) return known;
    return this.replace(name, this.create(name, this.sizeFor(name, bytes)));
  }

  /** Destroys outgrown buffers. Call it when all work that names them has been submitted. */
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
