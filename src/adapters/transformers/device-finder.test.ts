import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DeviceFinder } from './device-finder.ts';
import type { OrtTensor } from './runtime.ts';

class Buffer {}
class Device {
  createBindGroup(_: GPUBindGroupDescriptor): object {
    return {};
  }
  createCommandEncoder(): object {
    return {};
  }
  createShaderModule(): object {
    return {};
  }
  createComputePipeline(): object {
    return {};
  }
  async createComputePipelineAsync(): Promise<object> {
    return {};
  }
}

beforeEach(() => {
  vi.stubGlobal('GPUDevice', Device);
  vi.stubGlobal('GPUBuffer', Buffer);
});
afterEach(() => vi.unstubAllGlobals());

const onCpu = { logits: { location: 'cpu' } as OrtTensor };
const bind = (device: Device, buffer: Buffer) =>
  device.createBindGroup({
    layout: {} as GPUBindGroupLayout,
    entries: [{ binding: 0, resource: { buffer: buffer as GPUBuffer } }],
  });

test('the device is the one whose bind groups have the outputs; of several at work none is taken for outputs on the CPU', () => {
  const finder = new DeviceFinder();
  expect(finder.sawWork).toBe(false);
  const [one, other] = [new Device(), new Device()];
  const buffer = new Buffer();
  bind(one, buffer);
  expect(finder.deviceOf(onCpu)).toBe(one);
  bind(other, new Buffer());
  other.createCommandEncoder();
  expect(finder.deviceOf(onCpu)).toBeUndefined();
  const output = { location: 'gpu-buffer', gpuBuffer: buffer } as unknown as OrtTensor;
  expect(finder.deviceOf({ output })).toBe(one);
  finder.remove();
});

test('a device whose createBindGroup another library has wrapped is found by what it encodes', () => {
  const native = Device.prototype.createBindGroup;
  const device = new Device();
  // The library has what it found before anybody listened.
  device.createBindGroup = (descriptor) => native.call(device, descriptor);
  const finder = new DeviceFinder();
  bind(device, new Buffer());
  device.createCommandEncoder();
  expect(finder.sawWork).toBe(true);
  expect(finder.deviceOf(onCpu)).toBe(device);
  finder.remove();
  new Device().createCommandEncoder();
  expect(finder.devices).toEqual([device]);
});

test('a device that renders beside is not taken for the one at work', () => {
  const finder = new DeviceFinder();
  new Device().createCommandEncoder();
  const one = new Device();
  bind(one, new Buffer());
  expect(finder.deviceOf(onCpu)).toBe(one);
  finder.remove();
});
