import { expect, test } from 'vitest';
import { parseShapes } from './shape-proof.ts';

test('a list of shapes', () => {
  expect(parseShapes('8/1x512,64/8x64+sinks', 'f16')).toEqual([
    { queryHeads: 8, kvHeads: 1, headSize: 512, dtype: 'f16' },
    { queryHeads: 64, kvHeads: 8, headSize: 64, dtype: 'f16', sinks: true },
  ]);
});

test.each(['8x512', '8/1x512+sink', ''])('"%s" is no shape', (text) => {
  expect(() => parseShapes(text, 'f16')).toThrow(`"${text}" is no shape`);
});

test('a shape without kernels is refused', () => {
  expect(() => parseShapes('8/3x64', 'f32')).toThrow('queryHeads');
});
