import { describe, expect, test } from 'vitest';
import { WgslReflect } from 'wgsl_reflect';
import { stockPagedKernel } from '../../testing/web-llm/stock-kernel.ts';
import { readDeclarations } from './wgsl-declarations.ts';

const PROGRAM = `
enable f16;
diagnostic(off, derivative_uniformity);
const TILE = 4u;
alias word_t = vec4<f16>;
alias words = array<word_t>;
struct Uniforms {
  head_size_vec: u32,
  alpha: f32,
  half: f16,
  shape: vec3<u32>,
  after: u32,
  strides: array<vec4<u32>, 2>,
  @align(32) moved: vec2<f32>,
  @size(16) wide: i32,
  last: u32
};
@group(0) @binding(0) var<storage, read> q: array<vec4<f16>>;
@group(0) @binding(1) var<storage> keys: words;
@binding(2) @group(0) var<storage, read_write> out: array<vec2f>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;
var<workgroup> tile: array<f32, TILE>;
var<private> own: u32;
@compute @workgroup_size(64) fn main() { var sum: f32 = 0.0; out[0] = vec2f(f32(q[0].x), sum); }
`;

describe('readDeclarations', () => {
  test('reads bindings in any order of attributes, with aliases and short names', () => {
    const { storage, uniforms } = readDeclarations(PROGRAM);
    expect(storage).toEqual([
      { name: 'q', group: 0, binding: 0, type: 'array<vec4<f16>>', access: 'read' },
      { name: 'keys', group: 0, binding: 1, type: 'array<vec4<f16>>', access: 'read' },
      { name: 'out', group: 0, binding: 2, type: 'array<vec2<f32>>', access: 'read_write' },
    ]);
    expect(uniforms).toMatchObject([{ name: 'uniforms', group: 0, binding: 3, type: 'Uniforms' }]);
  });

  test('lays uniforms out as WGSL does', () => {
    const offsets = readDeclarations(PROGRAM).uniforms[0]!.fields.map(({ name, offset }) => [name, offset]);
    expect(Object.fromEntries(offsets)).toEqual({
      head_size_vec: 0,
      alpha: 4,
      half: 8,
      shape: 16,
      after: 28,
      strides: 32,
      moved: 64,
      wide: 72,
      last: 88,
    });
    const members = new WgslReflect(PROGRAM).uniforms[0]!.members!;
    expect(offsets).toEqual(members.map(({ name, offset }) => [name, offset]));
  });

  test('is blind to comments, nested ones too', () => {
    const commented = PROGRAM.replace(
      '@group(0) @binding(0)',
      '/* var<storage> a: u32; /* @group(9) */ */ @group(0) // @binding(7)\n @binding(0)',
    );
    expect(readDeclarations(commented)).toEqual(readDeclarations(PROGRAM));
  });

  test.each(['\n', '\r\n', '\r', '\v', '\f', '\u0085', '\u2028', '\u2029'])(
    'a comment ends with its line, whatever ends the line (%j)',
    (ending) => {
      const commented = PROGRAM.replace('@group(0) @binding(0)', `// first${ending}@group(0) @binding(0)`);
      expect(readDeclarations(commented)).toEqual(readDeclarations(PROGRAM));
    },
  );

  test('what is bound besides buffers is an error, and constants of the pipeline are named', () => {
    for (const type of ['texture_2d<f32>', 'sampler', 'texture_storage_2d<r32float, read>']) {
      expect(() => readDeclarations(`${PROGRAM}@group(0) @ binding(9) var mask: ${type};`)).toThrow(
        'something else than buffers is bound',
      );
    }
    expect(readDeclarations(PROGRAM).overrides).toEqual([]);
    expect(readDeclarations(`@id(3) override span: u32 = 0u;${PROGRAM}`).overrides).toEqual(['span']);
  });

  test('agrees with a parser of the whole language on the stand-in of web-llm', () => {
    for (const dtype of ['f32', 'f16'] as const) {
      const { code } = stockPagedKernel({ queryHeads: 8, kvHeads: 2, headSize: 64, dtype }, 16);
      const { storage, uniforms } = readDeclarations(code);
      const reflect = new WgslReflect(code);
      const pick = ({ name, group, binding }: { name: string; group: number; binding: number }) => ({
        name,
        group,
        binding,
      });
      expect(storage.map(pick)).toEqual(reflect.storage.map(pick));
      expect(uniforms[0]!.fields.map(({ name, offset }) => ({ name, offset }))).toEqual(
        reflect.uniforms[0]!.members!.map(({ name, offset }) => ({ name, offset })),
      );
    }
  });

  test.each([
    ['a binding by a constant', '@group(0) @binding(B) var<storage> a: array<u32>;', 'no binding in numbers'],
    ['a buffer without a group', '@binding(0) var<storage> a: array<u32>;', 'no group'],
    ['an unknown access', '@group(0) @binding(0) var<storage, atomic> a: array<u32>;', 'access'],
    ['an initialiser', '@group(0) @binding(0) var<storage> a: array<u32> = 1;', 'unknown form'],
    [
      'a member of unknown layout',
      'struct U { m: mat2x2<f32> } @group(0) @binding(0) var<uniform> u: U;',
      'layout of "mat2x2<f32>"',
    ],
    [
      'an unknown attribute',
      'struct U { @builtin(x) m: u32 } @group(0) @binding(0) var<uniform> u: U;',
      'was not understood',
    ],
    [
      'an alias of itself',
      'alias A = A; @group(0) @binding(0) var<storage> a: array<A>;',
      'defined by itself',
    ],
  ])('refuses %s', (_, code, message) => {
    expect(() => readDeclarations(code)).toThrow(message);
  });
});
