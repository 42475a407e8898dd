import type { AttentionShape } from '../shape.ts';

/**
 * Which V rows a step of one layer read: a bit for each key, u32 [batch, kvHeads, scoreStride / 32] on the GPU. The kernels only set bits,
 * so that they are cleared before each step.
 */
export class ReadBits {
  private buffer: GPUBuffer | undefined;
  private binding: GPUBufferBinding | undefined;

  constructor(
    private readonly device: GPUDevice,
    private readonly shape: AttentionShape,
    private readonly batch: number,
  ) {}

  /** Bytes for keys of `scoreStride`, a multiple of 64. */
  bytes(scoreStride: number): number {
    return (this.batch * this.shape.kvHeads * scoreStride) / 8;
  }

  /** Clears the bits for a step whose keys have a stride of `scoreStride`. What was submitted before still sees the old ones. */
  clear(encoder: GPUCommandEncoder, scoreStride: number): void {
    const { buffer } = this.get(scoreStride);
    encoder.clearBuffer(buffer, 0, this.bytes(scoreStride));
  }

  /** The buffer, made or made larger if need be. Bits that were not read back are lost then. */
  get(scoreStride: number): GPUBufferBinding {
    const bytes = this.bytes(scoreStride);
    if (this.binding && this.buffer!.size >= bytes) return this.binding;
    this.destroy();
    this.buffer = this.device.createBuffer({
      label: 'sift read bits',
      // Room for a cache twice as long.
      size: 2 * bytes,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.binding = { buffer: this.buffer };
    return this.binding;
  }

  destroy(): void {
    this.buffer?.destroy();
    this.buffer = undefined;
    this.binding = undefined;
  }
}
