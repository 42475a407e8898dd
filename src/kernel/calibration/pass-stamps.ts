import { allocate } from '../gpu/allocate.ts';

/**
 * Times one compute pass at a time by timestamps at its beginning and end. The device must have
 * `timestamp-query`.
 */
export class PassStamps {
  private constructor(
    private readonly queries: GPUQuerySet,
    private readonly resolved: GPUBuffer,
    private readonly staging: GPUBuffer,
  ) {}

  /** @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST` */
  static async create(device: GPUDevice): Promise<PassStamps> {
    const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    const label = 'sift timer';
    const made = await allocate<GPUQuerySet | GPUBuffer>(device, 'Timestamps need', 0, () => [
      device.createQuerySet({ label, type: 'timestamp', count: 2 }),
      device.createBuffer({ label, size: 16, usage: QUERY_RESOLVE | COPY_SRC }),
      device.createBuffer({ label, size: 16, usage: COPY_DST | MAP_READ }),
    ]);
    return new PassStamps(...(made as [GPUQuerySet, GPUBuffer, GPUBuffer]));
  }

  /** The `timestampWrites` of the pass that is to be timed. */
  get writes(): GPUComputePassTimestampWrites {
    return { querySet: this.queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
  }

  /** Encodes the copying of the stamps. Call it after the pass, and submit it before `read`. */
  resolve(encoder: GPUCommandEncoder): void {
    encoder.resolveQuerySet(this.queries, 0, 2, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, this.staging, 0, 16);
  }

  /** Nanoseconds between the two stamps; 0 if they cannot be read. It waits until the submitted pass is done. */
  async read(): Promise<number> {
    try {
      await this.staging.mapAsync(GPUMapMode.READ);
    } catch {
      return 0;
    }
    const [begin, end] = new BigUint64Array(this.staging.getMappedRange().slice(0));
    this.staging.unmap();
    return Number(end! - begin!);
  }

  destroy(): void {
    this.queries.destroy();
    this.resolved.destroy();
    this.staging.destroy();
  }
}
