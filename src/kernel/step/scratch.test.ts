import { beforeAll, describe, expect, test } from 'vitest';
import { defineWebGpuGlobals, FakeDevice } from '../../testing/fake-device.ts';
import { Scratch } from './scratch.ts';

beforeAll(defineWebGpuGlobals);

describe('reserve', () => {
  test('makes every buffer large enough, so that the step creates none', async () => {
    const device = new FakeDevice();
    const scratch = new Scratch(device.gpu);
    const needs = { split_softmax: 5000, split_output: 9000 };
    expect(scratch.has(needs)).toBe(false);
    await scratch.reserve(needs);
    expect(scratch.has(needs)).toBe(true);
    const { bytes } = device;
    expect(scratch.get('split_output', 9000).buffer.size).toBeGreaterThanOrEqual(9000);
    await scratch.reserve({ split_softmax: 4096 });
    expect(device.bytes).toBe(bytes);
    expect(scratch.has({ scores: 1 })).toBe(false);
  });

  test('fails with OUT_OF_MEMORY, and then has what it had', async () => {
    const device = new FakeDevice(20_000);
    const scratch = new Scratch(device.gpu);
    await scratch.reserve({ scores: 4096 });
    const before = scratch.get('scores', 4096).buffer;
    await expect(scratch.reserve({ scores: 8192, split_output: 16_384 })).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
    });
    expect(scratch.get('scores', 4096).buffer).toBe(before);
    expect(device.bytes).toBe(4096);
    expect(scratch.has({ split_output: 1 })).toBe(false);
  });

  test('refuses what the device cannot bind', async () => {
    const scratch = new Scratch(new FakeDevice(undefined, 1 << 16).gpu);
    await expect(scratch.reserve({ scores: (1 << 16) + 1 })).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(() => scratch.get('scores', (1 << 16) + 1)).toThrow('binds at most 65536');
    expect(scratch.get('scores', (1 << 16) - 100).buffer.size).toBe(1 << 16);
  });
});

test('an outgrown buffer lives until it is collected: encoded work may name it', () => {
  const device = new FakeDevice();
  const scratch = new Scratch(device.gpu);
  const outgrown = scratch.get('scores', 4096).buffer;
  const grown = scratch.get('scores', 4097).buffer;
  expect(grown.size).toBe(8192);
  expect(device.alive).toBe(2);
  scratch.collect();
  expect(device.buffers.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  expect(outgrown).not.toBe(grown);
  scratch.destroy();
  expect(device.alive).toBe(0);
});
