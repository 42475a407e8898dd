import { beforeAll, expect, test } from 'vitest';
import { defineWebGpuGlobals, FakeDevice } from '../../testing/fake-device.ts';
import { BindGroupCache, type BoundBuffers } from './bind-groups.ts';
import { BUFFER_SLOT, type CompiledKernel } from './kernel-set.ts';

beforeAll(defineWebGpuGlobals);

const kernel = (...names: (keyof typeof BUFFER_SLOT)[]) =>
  ({
    kernel: { name: 'test' },
    layout: {},
    slots: names.map((name) => BUFFER_SLOT[name]),
  }) as unknown as CompiledKernel;

function setUp() {
  const device = new FakeDevice();
  const buffer = () => device.createBuffer({ size: 64 }) as unknown as GPUBuffer;
  const bound: BoundBuffers = [];
  for (const name of ['q', 'keys', 'output'] as const) bound[BUFFER_SLOT[name]] = { buffer: buffer() };
  return { device, buffer, bound, params: buffer(), cache: new BindGroupCache() };
}

test('a bind group is kept while its buffers stay the same', () => {
  const { device, buffer, bound, params, cache } = setUp();
  const attend = kernel('q', 'keys');
  const group = cache.get(device.gpu, attend, params, bound);
  // A buffer that the kernel does not have, and a binding that says the same in another object.
  bound[BUFFER_SLOT.output] = { buffer: buffer() };
  bound[BUFFER_SLOT.q] = { ...bound[BUFFER_SLOT.q]!, offset: 0 };
  expect(cache.get(device.gpu, attend, params, bound)).toBe(group);
  expect(cache.get(device.gpu, kernel('output'), params, bound)).not.toBe(group);
});

test('a buffer, an offset, a size or the parameters that changed make another', () => {
  const { device, buffer, bound, params, cache } = setUp();
  const attend = kernel('q', 'keys');
  const first = cache.get(device.gpu, attend, params, bound);
  const others = [
    { params: buffer(), q: bound[BUFFER_SLOT.q]! },
    { params, q: { ...bound[BUFFER_SLOT.q]!, offset: 16 } },
    { params, q: { ...bound[BUFFER_SLOT.q]!, size: 32 } },
    { params, q: { buffer: buffer() } },
  ];
  for (const other of others) {
    bound[BUFFER_SLOT.q] = other.q;
    expect(cache.get(device.gpu, attend, other.params, bound)).not.toBe(first);
  }
  expect(device.bindGroups).toBe(5);
});

test('sets of buffers that take turns are all kept', () => {
  const { device, buffer, bound, params, cache } = setUp();
  const attend = kernel('q', 'keys');
  const turns = Array.from({ length: 6 }, () => ({ buffer: buffer() }));
  for (let step = 0; step < 18; step++) {
    bound[BUFFER_SLOT.q] = turns[step % 6]!;
    cache.get(device.gpu, attend, params, bound);
  }
  expect(device.bindGroups).toBe(6);
});

test('a buffer that is missing is named', () => {
  const { device, bound, params, cache } = setUp();
  expect(() => cache.get(device.gpu, kernel('q', 'values'), params, bound)).toThrow(
    'no buffer for values of test',
  );
});
