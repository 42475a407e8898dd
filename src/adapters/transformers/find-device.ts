import { invalidOption, SiftError } from '../../errors.ts';
import type { LifeCycle } from '../shared/life-cycle.ts';
import { checkWebGpu } from '../shared/web-gpu.ts';
import { DeviceFinder } from './device-finder.ts';
import type { Tensors } from './session-hook.ts';

/** The line that helps where the device cannot be found. */
const LINE =
  '`enableSift(target, { device: await env.backends.onnx.webgpu.device })`, with `env` of the transformers.js that made the pipeline';

/**
 * Checks the option `device`.
 * @throws {SiftError} `NO_WEBGPU`, `INVALID_OPTION`
 */
export function checkDevice(given: unknown): void {
  checkWebGpu();
  if (given !== undefined && !(given instanceof GPUDevice))
    throw invalidOption('device', given, `a GPUDevice; leaving it out; or ${LINE}`);
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
  found(outputs: Tensors): GPUDevice {
    const { finder, given } = this;
    this.end();
    const device = finder.deviceOf(outputs);
    if (device && given && device !== given) {
      throw invalidOption(
        'device',
        given,
        `the device that the pipeline runs on, which is another: leave it out, or write ${LINE}`,
      );
    }
    const found = device ?? given;
    if (found) return found;
    if (!finder.sawWork) {
      throw new SiftError(
        'NOT_WEBGPU_PIPELINE',
        "The model does not run on WebGPU: no WebGPU device did anything when it ran. Create it with `pipeline(task, model, { device: 'webgpu' })`.",
        { option: 'device', allowed: "'webgpu'" },
      );
    }
    throw new SiftError(
      'DEVICE_NOT_FOUND',
      `The GPUDevice of the pipeline was not found. Pass it: ${LINE}.`,
      {
        option: 'device',
      },
    );
  }

  /** Has a life watch the devices that were at work, after a run that failed: it then knows whether one of them is gone. */
  async watchAll(life: LifeCycle): Promise<void> {
    const { devices } = this.finder;
    for (const device of devices) life.watch(device);
    // A loss is told by a promise. If there is none, nothing is waited for.
    await Promise.race([...devices.map(({ lost }) => lost), new Promise((resolve) => setTimeout(resolve))]);
  }

  end(): void {
    this.finder.remove();
  }
}
