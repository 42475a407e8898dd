/** Times compute passes: by timestamp queries where the device has them, else from submission to completion. */
export class StepTimer {
  private readonly queries: GPUQuerySet | undefined;
  private readonly resolved: GPUBuffer | undefined;
  private readonly staging: GPUBuffer | undefined;
  /** Milliseconds from submission to completion of nothing; undefined until measured. */
  private empty: number | undefined;

  constructor(private readonly device: GPUDevice) {
    if (!device.features.has('timestamp-query')) return;
    this.queries = device.createQuerySet({ label: 'sift timer', type: 'timestamp', count: 2 });
    this.resolved = device.createBuffer({
      size: 16,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.staging = device.createBuffer({
      size: 16,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
  }

  /** Runs one pass alone and returns its milliseconds. */
  async time(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    if (this.queries) return this.run(encode);
    if (this.empty === undefined) {
      const times = [await this.run(() => {}), await this.run(() => {}), await this.run(() => {})];
      this.empty = Math.min(...times);
    }
    const time = await this.run(encode);
    return Math.max(time - this.empty, time / 100);
  }

  private async run(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const { device, queries, resolved, staging } = this;
    const encoder = device.createCommandEncoder({ label: 'sift timer' });
    const pass = encoder.beginComputePass(
      queries && {
        timestampWrites: { querySet: queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
      },
    );
    encode(pass);
    pass.end();
    if (queries) {
      encoder.resolveQuerySet(queries, 0, 2, resolved!, 0);
      encoder.copyBufferToBuffer(resolved!, 0, staging!, 0, 16);
    }
    const commands = encoder.finish();
    // What was submitted before is done, and a browser's GPU process has the commands, when the clock starts.
    await device.queue.onSubmittedWorkDone();
    const start = performance.now();
    device.queue.submit([commands]);
    if (!queries) {
      await device.queue.onSubmittedWorkDone();
      return performance.now() - start;
    }
    await staging!.mapAsync(GPUMapMode.READ);
    const wall = performance.now() - start;
    const [begin, end] = new BigUint64Array(staging!.getMappedRange().slice(0));
    staging!.unmap();
    const time = Number(end! - begin!) / 1e6;
    // Some drivers write zeros, or stamps of different clocks.
    return time > 0 && time <= wall ? time : wall;
  }

  destroy(): void {
    this.queries?.destroy();
    this.resolved?.destroy();
    this.staging?.destroy();
  }
}
