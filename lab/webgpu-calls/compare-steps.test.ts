import { expect, test } from 'vitest';
import { compareSteps, differencesOf } from './compare-steps.ts';
import type { BoundRange, StepCalls, WebGpuCall } from './webgpu-call.ts';

const bound = (...buffers: number[]): BoundRange[] =>
  buffers.map((buffer, binding) => ({ binding, buffer, offset: 0, size: undefined }));

const dispatch = (pipeline: number, x: number): WebGpuCall => ({
  kind: 'dispatch',
  workgroups: [x, 1, 1],
  state: { label: 'p', pipeline, fields: [] },
});

const write = (buffer: number, ...bytes: number[]): WebGpuCall => ({
  kind: 'writeBuffer',
  buffer,
  offset: 0,
  uniform: true,
  bytes,
});

const step = (...calls: WebGpuCall[]): StepCalls => ({ length: 10, calls });

test.each<[string, WebGpuCall, WebGpuCall, string[]]>([
  ['the same contents', write(1, 5, 6), write(1, 5, 6), []],
  ['other contents', write(1, 5, 6), write(1, 5, 7), ['other contents']],
  ['another buffer', write(1, 5), write(2, 5), ['another buffer']],
  ['other workgroups', dispatch(1, 4), dispatch(1, 5), ['other workgroups']],
  [
    'a group with another buffer',
    { kind: 'createBindGroup', bindings: bound(1, 2) },
    { kind: 'createBindGroup', bindings: bound(1, 3) },
    ['another buffer'],
  ],
  [
    'a group with another range',
    { kind: 'createBindGroup', bindings: bound(1) },
    { kind: 'createBindGroup', bindings: [{ ...bound(1)[0]!, size: 16 }] },
    ['another range of a buffer'],
  ],
  [
    'a copy to another place',
    { kind: 'copyBuffer', from: 1, fromOffset: 0, to: 2, toOffset: 0, size: 4 },
    { kind: 'copyBuffer', from: 1, fromOffset: 0, to: 3, toOffset: 8, size: 4 },
    ['another buffer', 'another range of a buffer'],
  ],
  ['calls of two kinds', { kind: 'end' }, { kind: 'finish' }, ['no counterpart']],
])('%s', (_, a, b, differences) => {
  expect(differencesOf(a, b)).toEqual(differences);
});

test('calls are counted by their kind; a dispatch is the same whatever its uniforms hold', () => {
  const before = step(write(1, 5), dispatch(1, 4), { kind: 'end' });
  const after = step(write(2, 6), dispatch(1, 4), { kind: 'end' });
  expect(compareSteps(before, after)).toEqual({
    sameOrder: true,
    calls: 3,
    same: 2,
    kinds: [
      {
        kind: 'writeBuffer',
        calls: 1,
        same: 0,
        differences: { 'another buffer': 1, 'other contents': 1 },
      },
      { kind: 'dispatch', calls: 1, same: 1, differences: {} },
      { kind: 'end', calls: 1, same: 1, differences: {} },
    ],
  });
});

test('an additional call has no counterpart, and those around it keep theirs', () => {
  const comparison = compareSteps(
    step(dispatch(1, 4), dispatch(3, 4)),
    step(dispatch(1, 4), dispatch(2, 1), dispatch(3, 4)),
  );
  expect(comparison).toMatchObject({ sameOrder: false, calls: 3, same: 2 });
  expect(comparison.kinds[0]!.differences).toEqual({ 'no counterpart': 1 });
});
