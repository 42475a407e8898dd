/** Bytes from one entry to the next: the largest `minUniformBufferOffsetAlignment` that WebGPU allows. */
export const PLACE_BYTES = 256;

/** Makes the buffer of a ring; see `allocate`. */
export function createRingBuffer(device: GPUDevice, entries: number): GPUBuffer {
  return device.createBuffer({
    label: 'sift uniforms',
    size: entries * PLACE_BYTES,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
}

/**
 * A ring of entries in one uniform buffer. `queue.writeBuffer` takes effect before work that is
 * encoded but not yet submitted. So an entry must not be written again while such work may still read it, and
 * the ring has many.
 */
export class UniformRing {
  private next = 0;

  constructor(
    private readonly device: GPUDevice,
    readonly buffer: GPUBuffer,
    private readonly entries: number,
  ) {}

  /** Writes the next entry, of {@link PLACE_BYTES} at most, and returns its offset in bytes. */
  write(data: ArrayBuffer): number {
    const offset = this.next * PLACE_BYTES;
    this.next = (this.next + 1) % this.entries;
    this.device.queue.writeBuffer(this.buffer, offset, data);
    return offset;
  }

  destroy(): void {
    this.buffer.destroy();
  }
}
