// Attentions are told apart by the buffers of their keys: one that goes to another layer's state would spoil what both have learned.
import { beforeAll, expect, test } from 'vitest';
import { defineWebGpuGlobals, FakeBuffer } from '../../testing/fake-device.ts';
import { attentionKey } from '../shared/attention-key.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch } from './pass-hook.ts';
import type { MatchedProgram } from './program.ts';
import type { Tensors } from './session-hook.ts';

beforeAll(defineWebGpuGlobals);

const buffer = () => new FakeBuffer(undefined, { size: 64 }) as unknown as GPUBuffer;
const entriesOf = (...buffers: GPUBuffer[]): GPUBindGroupEntry[] =>
  buffers.map((each, binding) => ({ binding, resource: { buffer: each } }));

function setUp() {
  const pasts = [buffer(), buffer()];
  const feeds = Object.fromEntries(
    pasts.map((gpuBuffer, layer) => [`past_key_values.${layer}.key`, { location: 'gpu-buffer', gpuBuffer }]),
  );
  return { pasts, locator: new LayerLocator(feeds as unknown as Tensors) };
}

test('on a shared cache the keys are those of the past', () => {
  const { pasts, locator } = setUp();
  expect(pasts.map((past) => locator.attentionOf(past))).toEqual([0, 1]);
  expect(locator.attentionOf(buffer())).toBeUndefined();
});

test('otherwise a copy says which present keys continue a past', () => {
  const { pasts, locator } = setUp();
  const present = buffer();
  const program = { bindings: { past_key: 0, present_key: 1 } } as unknown as MatchedProgram;
  locator.noteCopy({ entries: entriesOf(pasts[1]!, present) } as unknown as Dispatch, program);
  expect(locator.attentionOf(present)).toBe(1);
});

test('several attentions to one layer are counted, those in another form among them', () => {
  const { pasts, locator } = setUp();
  const other = buffer();
  expect(locator.attentionAmong(entriesOf(other, pasts[1]!))).toBe(attentionKey(1));
  expect(locator.attentionOf(pasts[1]!)).toBe(attentionKey(1, 1));
  expect(locator.attentionAmong(entriesOf(other))).toBeUndefined();
  // To ask which layer a dispatch works on counts nothing.
  expect(locator.layerAmong(entriesOf(pasts[1]!))).toBe(1);
  expect(locator.attentionOf(pasts[1]!)).toBe(attentionKey(1, 2));
});
