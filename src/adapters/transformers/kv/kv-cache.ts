import { allocate, readBack } from '../../../kernel/gpu/allocate.ts';

/** One tensor of a KV cache: K or V of one layer, [batch, heads, capacity, headSize]. */
export interface KvShape {
  /** Name of the session's input and of the output that continues it. */
  past: string;
  present: string;
  type: KvType;
  batch: number;
  heads: number;
  headSize: number;
}

export type KvType = 'float32' | 'float16';

const ELEMENT_BYTES: Record<KvType, number> = { float32: 4, float16: 2 };

export function isKvType(type: string): type is KvType {
  return type in ELEMENT_BYTES;
}

/** Bytes of one row of every head and sequence. */
function sliceBytes(shape: KvShape): number {
  return shape.batch * shape.heads * rowBytes(shape);
}

function rowBytes(shape: KvShape): number {
  return shape.headSize * ELEMENT_BYTES[shape.type];
}

/** Rows that every tensor of a cache can have within the device's buffer limits. */
export function maxCapacity(device: GPUDevice, shapes: readonly KvShape[]): number {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const bytes = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  return Math.min(...shapes.map((shape) => Math.floor(bytes / sliceBytes(shape))));
}

/** Rows of one tensor in a buffer, with `capacity` rows from one head to the next. */
export interface KvRows {
  buffer: GPUBuffer;
  capacity: number;
}

/** Copies the first `rows` rows of every head and sequence. */
function encodeCopy(
  encoder: GPUCommandEncoder,
  shape: KvShape,
  from: KvRows,
  to: KvRows,
  rows: number,
): void {
  const bytes = rowBytes(shape);
  for (let head = 0; head < shape.batch * shape.heads; head++) {
    encoder.copyBufferToBuffer(
      from.buffer,
      head * from.capacity * bytes,
      to.buffer,
      head * to.capacity * bytes,
      rows * bytes,
    );
  }
}

/**
 * K and V of all layers of one conversation on the GPU, with room to grow: past and present are the same buffers. Who reads a
 * length of it (a view, see views.ts) holds it; with the last holder the memory is freed.
 */
export class KvCache {
  /** Rows that hold keys and values. */
  length = 0;
  /** Times that the buffers were replaced by larger ones. */
  grown = 0;
  private readonly holders = new Map<number, number>();
  private destroyed = false;

  private constructor(
    readonly device: GPUDevice,
    readonly shapes: readonly KvShape[],
    private rows: number,
    private buffers: GPUBuffer[],
  ) {}

  /**
   * Allocates a cache.
   * @throws {SiftError} `OUT_OF_MEMORY`
   */
  static async allocate(device: GPUDevice, shapes: readonly KvShape[], capacity: number): Promise<KvCache> {
    return new KvCache(device, shapes, capacity, await allocateBuffers(device, shapes, capacity));
  }

  /** Whether the buffers are there. */
  get alive(): boolean {
    return !this.destroyed;
  }

  get capacity(): number {
    return this.rows;
  }

  get bytes(): number {
    return this.buffers.reduce((sum, buffer) => sum + buffer.size, 0);
  }

  buffer(index: number): GPUBuffer {
    return this.buffers[index]!;
  }

  /**
   * Replaces the buffers by larger ones with the same rows.
   * @throws {SiftError} `OUT_OF_MEMORY`; the cache is then as it was.
   */
  async grow(capacity: number): Promise<void> {
    const buffers = await allocateBuffers(this.device, this.shapes, capacity);
    const old = this.buffers;
    this.copy(
      old.map((buffer) => ({ buffer, capacity: this.rows })),
      buffers,
      capacity,
      this.length,
    );
    for (const buffer of old) buffer.destroy();
    this.buffers = buffers;
    this.rows = capacity;
    this.grown++;
  }

  /** Takes over the first `length` rows of other buffers. */
  fill(from: readonly KvRows[], length: number): void {
    this.copy(from, this.buffers, this.rows, length);
    this.length = length;
  }

  /** The rows of a tensor, to be copied elsewhere. */
  rowsOf(index: number): KvRows {
    return { buffer: this.buffers[index]!, capacity: this.rows };
  }

  /**
   * The first `length` rows of a tensor as a buffer of their own without gaps: what the runtime's own cache looks like. Whether there is
   * memory for it is not known.
   */
  contiguous(index: number, length: number): GPUBuffer {
    const shape = this.shapes[index]!;
    const buffer = this.device.createBuffer({
      label: `sift ${shape.past} contiguous`,
      size: Math.max(16, sliceBytes(shape) * length),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.device.createCommandEncoder();
    encodeCopy(encoder, shape, this.rowsOf(index), { buffer, capacity: length }, length);
    this.device.queue.submit([encoder.finish()]);
    return buffer;
  }

  /**
   * Reads the first `length` rows of a tensor back, [batch, heads, length, headSize].
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  async download(index: number, length: number): Promise<ArrayBuffer> {
    const shape = this.shapes[index]!;
    const { buffer, capacity } = this.rowsOf(index);
    const row = rowBytes(shape);
    const parts = Array.from({ length: shape.batch * shape.heads }, (_, head) => ({
      buffer,
      offset: head * capacity * row,
      bytes: length * row,
    }));
    return readBack(this.device, parts);
  }

  /** Somebody reads the first `length` rows from now on. */
  hold(length: number): void {
    this.holders.set(length, (this.holders.get(length) ?? 0) + 1);
  }

  /** ... and no longer does. With the last holder the cache is destroyed. */
  release(length: number): void {
    const count = (this.holders.get(length) ?? 0) - 1;
    if (count > 0) this.holders.set(length, count);
    else this.holders.delete(length);
    if (this.holders.size === 0) this.destroy();
  }

  /** Whether somebody reads rows beyond the first `length`. */
  heldBeyond(length: number): boolean {
    return [...this.holders.keys()].some((held) => held > length);
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    for (const buffer of this.buffers) buffer.destroy();
  }

  private copy(from: readonly KvRows[], to: readonly GPUBuffer[], capacity: number, length: number): void {
    const encoder = this.device.createCommandEncoder();
    this.shapes.forEach((shape, i) => {
      encodeCopy(encoder, shape, from[i]!, { buffer: to[i]!, capacity }, length);
    });
    this.device.queue.submit([encoder.finish()]);
  }
}

function allocateBuffers(
  device: GPUDevice,
  shapes: readonly KvShape[],
  capacity: number,
): Promise<GPUBuffer[]> {
  const bytes = shapes.reduce((sum, shape) => sum + sliceBytes(shape), 0) * capacity;
  return allocate(device, `A KV cache of ${capacity} tokens needs`, bytes, () =>
    shapes.map((shape) =>
      device.createBuffer({
        label: `sift ${shape.past}`,
        size: Math.max(16, sliceBytes(shape) * capacity),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      }),
    ),
  );
}
