import { describe, expect, it } from 'vitest';
import { SiftError } from '../errors.ts';
import { type AttentionShape, canSiftInOnePass, shapeConstants, validateShape } from './shape.ts';

const shape: AttentionShape = { queryHeads: 32, kvHeads: 8, headSize: 64, dtype: 'f16' };

describe('validateShape', () => {
  it.each([
    [{}],
    [{ queryHeads: 128, kvHeads: 1 }],
    [{ headSize: 4 }],
    [{ headSize: 256 }],
    [{ headSize: 512 }],
    [{ dtype: 'f32' as const }],
    [{ sinks: true }],
    [{ sinks: false }],
  ])('takes %o', (change) => {
    expect(() => validateShape({ ...shape, ...change })).not.toThrow();
  });

  it.each<[string, unknown, Partial<AttentionShape>?]>([
    ['kvHeads', 0],
    ['kvHeads', 1.5],
    ['queryHeads', 0],
    ['queryHeads', 30],
    // 129 heads on one KV head: the kernels of two passes have workgroups of 128 invocations, one for each head.
    ['queryHeads', 129, { kvHeads: 1 }],
    ['headSize', 516],
    ['headSize', 66],
    ['headSize', 0],
    ['dtype', 'f64'],
    ['sinks', [0, 1]],
  ])('refuses %s = %s', (option, value, rest = {}) => {
    const refused = { ...shape, ...rest, [option]: value } as AttentionShape;
    expect(() => validateShape(refused)).toThrow(SiftError);
    expect(() => validateShape(refused)).toThrow(`Invalid option \`${option}\``);
  });
});

describe('shapeConstants', () => {
  it('cuts a large group into blocks, and takes words of 8 elements where rows have whole ones', () => {
    expect(shapeConstants({ ...shape, queryHeads: 64, kvHeads: 4 })).toMatchObject({
      group: 16,
      heads: 8,
      blocks: 2,
    });
    expect(shapeConstants({ queryHeads: 8, kvHeads: 1, headSize: 512, dtype: 'f32' })).toMatchObject({
      heads: 4,
      blocks: 2,
    });
    expect(shapeConstants(shape)).toMatchObject({ wordElements: 8, words: 8, elementBytes: 2 });
    expect(shapeConstants({ ...shape, headSize: 68 })).toMatchObject({ wordElements: 4, words: 17 });
    expect(shapeConstants({ ...shape, dtype: 'f32' })).toMatchObject({ wordElements: 4, elementBytes: 4 });
  });
});

describe('canSiftInOnePass', () => {
  it('needs subgroups, and a group that one workgroup serves', () => {
    expect(canSiftInOnePass(shape, true)).toBe(true);
    expect(canSiftInOnePass(shape, false)).toBe(false);
    expect(canSiftInOnePass({ ...shape, queryHeads: 72 }, true)).toBe(false);
  });
});
