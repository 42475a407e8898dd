import { expect, test } from 'vitest';
import { readFields } from './field-values.ts';
import { changingNumbers } from './step-numbers.ts';
import type { StepCalls, WebGpuCall } from './webgpu-call.ts';

test('fields are read with the layout of uniform buffers', () => {
  const contents = new DataView(new ArrayBuffer(64));
  contents.setUint32(0, 7, true);
  contents.setFloat32(4, 0.5, true);
  contents.setUint16(8, 0x3c00, true);
  for (let i = 0; i < 4; i++) contents.setInt32(16 + 4 * i, -i, true);
  contents.setUint32(32, 11, true);
  contents.setUint32(48, 12, true);
  expect(
    readFields(
      [
        { name: 'a', type: 'u32', offset: 0 },
        { name: 'b', type: 'f32', offset: 4 },
        { name: 'c', type: 'f16', offset: 8 },
        { name: 'd', type: 'vec4<i32>', offset: 16 },
        { name: 'e', type: 'array<u32,2>', offset: 32 },
        { name: 'beyond', type: 'u32', offset: 64 },
      ],
      contents,
    ),
  ).toEqual([
    { name: 'a', values: [7] },
    { name: 'b', values: [0.5] },
    { name: 'c', values: [0x3c00] },
    { name: 'd', values: [-0, -1, -2, -3].map((x) => x + 0) },
    { name: 'e', values: [11, 12] },
    { name: 'beyond', values: [] },
  ]);
});

test('numbers that change are found with their rules, and equal ones of several dispatches are counted together', () => {
  const dispatch = (length: number): WebGpuCall => ({
    kind: 'dispatch',
    workgroups: [Math.ceil(length / 64), 2, 1],
    state: {
      label: 'Attention',
      pipeline: 0,
      fields: [
        { name: 'heads', values: [8] },
        { name: 'total', values: [length] },
        { name: 'shape', values: [1, length - 1] },
      ],
    },
  });
  const steps: StepCalls[] = Array.from({ length: 80 }, (_, i) => ({
    length: 60 + i,
    calls: [dispatch(60 + i), { kind: 'end' }, dispatch(60 + i)],
  }));
  expect(changingNumbers(steps)).toEqual([
    { program: 'Attention', name: 'total', rule: { kind: 'linear', slope: 1, offset: 0 }, dispatches: 2 },
    { program: 'Attention', name: 'shape[1]', rule: { kind: 'linear', slope: 1, offset: -1 }, dispatches: 2 },
    {
      program: 'Attention',
      name: 'workgroups.x',
      rule: { kind: 'tiles', tile: 64, factor: 1 },
      dispatches: 2,
    },
  ]);
});
