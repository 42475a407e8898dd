import { type Interception, intercept } from '../shared/interception.ts';
import { watchPrograms } from './program-notes.ts';
import type { Tensors } from './session-hook.ts';

/** The buffer that an entry binds, if it binds one. */
export function bufferOfEntry(entry: GPUBindGroupEntry | undefined): GPUBufferBinding | undefined {
  const resource = entry?.resource;
  if (typeof resource !== 'object') return undefined;
  if ('buffer' in resource) return resource as GPUBufferBinding;
  return resource instanceof GPUBuffer ? { buffer: resource } : undefined;
}

/** Those that listen; a device whose methods are replaced already reports here, too. */
const listening = new Set<DeviceFinder>();

/** Tells those who look for a device what a device binds. */
export function noteBindGroup(device: GPUDevice, { entries }: GPUBindGroupDescriptor): void {
  // Nobody looks in a step, where an iteration over nothing would cost as much as all else that is done here.
  if (listening.size > 0) for (const finder of listening) finder.note(device, entries);
}

/**
 * Finds the device that a run works on: the one whose bind groups have the buffers that the run puts out. No library is imported for it,
 * since a page may have several copies of one, from a bundle and from a CDN, each with a device of its own.
 *
 * Programs that are created meanwhile are noted, on whatever device.
 */
export class DeviceFinder {
  private readonly owners = new Map<GPUBuffer, GPUDevice>();
  /** Those that encode: all that is seen of a device whose `createBindGroup` another library has wrapped. */
  private readonly encoding = new Set<GPUDevice>();
  private readonly interceptions: Interception[];

  constructor() {
    listening.add(this);
    const { encoding } = this;
    this.interceptions = [
      ...watchPrograms(GPUDevice.prototype),
      intercept(
        GPUDevice.prototype,
        'createBindGroup',
        (original, it) =>
          function (this: GPUDevice, descriptor) {
            if (it.active) noteBindGroup(this, descriptor);
            return original.call(this, descriptor);
          },
      ),
      intercept(
        GPUDevice.prototype,
        'createCommandEncoder',
        (original, it) =>
          function (this: GPUDevice, descriptor) {
            if (it.active) encoding.add(this);
            return original.call(this, descriptor);
          },
      ),
    ];
  }

  note(device: GPUDevice, entries: Iterable<GPUBindGroupEntry>): void {
    for (const entry of entries) {
      const bound = bufferOfEntry(entry);
      if (bound) this.owners.set(bound.buffer, device);
    }
  }

  /** Whether any device was at work. */
  get sawWork(): boolean {
    return this.devices.length > 0;
  }

  /** The device of a run, by its outputs. */
  deviceOf(outputs: Tensors): GPUDevice | undefined {
    for (const tensor of Object.values(outputs)) {
      const device = tensor.location === 'gpu-buffer' ? this.owners.get(tensor.gpuBuffer) : undefined;
      if (device) return device;
    }
    // Where the outputs are on the CPU, the only device at work is the run's.
    const { devices } = this;
    return devices.length === 1 ? devices[0] : undefined;
  }

  /** Those that were at work. */
  get devices(): GPUDevice[] {
    const { owners, encoding } = this;
    return [...new Set(owners.size > 0 ? owners.values() : encoding)];
  }

  /** Stops listening. */
  remove(): void {
    listening.delete(this);
    for (const interception of this.interceptions) interception.remove();
  }
}
