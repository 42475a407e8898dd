import { PassStamps } from './pass-stamps.ts';

/**
 * Times compute passes, by timestamp queries if the device has them, otherwise from submission to completion.
 */
export class StepTimer {
  /** Milliseconds from submission to completion of an empty pass. Undefined until it is measured. */
  private empty: number | undefined;

  private constructor(
    private readonly device: GPUDevice,
    private readonly stamps: PassStamps | undefined,
  ) {}

  /** @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST` */
  static async create(device: GPUDevice): Promise<StepTimer> {
    const stamps = device.features.has('timestamp-query') ? await PassStamps.create(device) : undefined;
    return new StepTimer(device, stamps);
  }

  /**
   * Runs one pass alone and times it. Without timestamps, the time of an empty pass is subtracted.
   * @returns milliseconds
   */
  async time(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    if (this.stamps) return this.run(encode);
    if (this.empty === undefined) {
      const times = [await this.run(() => {}), await this.run(() => {}), await this.run(() => {})];
      this.empty = Math.min(...times);
    }
    const time = await this.run(encode);
    return Math.max(time - this.empty, time / 100);
  }

  private async run(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const { device, stamps } = this;
    const encoder = device.createCommandEncoder({ label: 'sift timer' });
    const pass = encoder.beginComputePass(stamps && { timestampWrites: stamps.writes });
    encode(pass);
    pass.end();
    stamps?.resolve(encoder);
    const commands = encoder.finish();
    // The clock must not start before earlier work is done and a browser's GPU process has the commands.
    await device.queue.onSubmittedWorkDone();
    const start = performance.now();
    device.queue.submit([commands]);
    if (!stamps) {
      await device.queue.onSubmittedWorkDone();
      return performance.now() - start;
    }
    const time = (await stamps.read()) / 1e6;
    const wall = performance.now() - start;
    // Some drivers write zeros, or stamps of different clocks. The wall time is used then.
    return time > 0 && time <= wall ? time : wall;
  }

  destroy(): void {
    this.stamps?.destroy();
  }
}
