import { invalidOption, SiftError } from '../../errors.ts';
import type { LifeCycle } from '../shared/life-cycle.ts';
import { checkWebGpu } from '../shared/web-gpu.ts';
import { DeviceFinder } from './device-finder.ts';
import type { Tensors } from './session-hook.ts';
import { SHORT, words } from './words.ts';

/**
 * Checks the option `device`.
 * @throws {SiftError} `NO_WEBGPU`, `INVALID_OPTION`
 */
export function checkDevice(given: unknown): void {
  checkWebGpu();
  if (given !== undefined && !(given instanceof GPUDevice))
    throw invalidOption('device', given, 'a GPUDevice, or leaving it out');
}

/** Looks for the device that a session runs on, from now until its first run is over. */
export class DeviceSearch {
  private readonly finder = new DeviceFinder();

  constructor(private readonly given: GPUDevice | undefined) {}

  /**
   * The device of a run.
   * @throws {SiftError} `NOT_WEBGPU_PIPELINE` if the run did no work on WebGPU, `INVALID_OPTION` if another device was given,
   * `DEVICE_NOT_FOUND`
   */
  async found(outputs: Tensors): Promise<GPUDevice> {
    const { finder, given } = this;
    this.end();
    const device = finder.deviceOf(outputs);
    const found = device ?? given;
    if (found && (!given || found === given)) return found;
    const { ANOTHER_DEVICE, NOT_FOUND, NOT_WEBGPU } = await words();
    if (found) throw invalidOption('device', given, ANOTHER_DEVICE ?? SHORT);
    if (finder.devices.length > 0)
      throw new SiftError('DEVICE_NOT_FOUND', NOT_FOUND ?? SHORT, { option: 'device' });
    throw new SiftError('NOT_WEBGPU_PIPELINE', NOT_WEBGPU ?? SHORT, {
      option: 'device',
      allowed: "'webgpu'",
    });
  }

  /** Has a life watch the devices that were at work or given, after a run that failed: it then knows whether one of them is gone. */
  async watchAll(life: LifeCycle): Promise<void> {
    const devices = [...this.finder.devices, ...(this.given ? [this.given] : [])];
    for (const device of devices) life.watch(device);
    // A loss is told by a promise. If there is none, nothing is waited for.
    await Promise.race([...devices.map(({ lost }) => lost), new Promise((resolve) => setTimeout(resolve))]);
  }

  end(): void {
    this.finder.remove();
  }
}
