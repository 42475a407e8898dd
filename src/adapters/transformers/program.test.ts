// Self-written WGSL with the interface of the runtime's programs; the end-to-end tests meet the real ones.
import { describe, expect, test } from 'vitest';
import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import { isMatched, matchProgram } from './program.ts';

const UNIFORMS = [
  'head_size_vec: u32',
  'total_sequence_length: u32',
  'alpha: f32',
  'present_sequence_length: u32',
  'n_reps: u32',
  'num_present_sequence_length_tile: u32',
  'num_heads: u32',
  'batch_size: u32',
  'new_sequence_length: u32',
];

interface Variant {
  type?: string;
  extra?: string[];
  without?: string;
  uniforms?: string[];
  body?: string;
}

function attendSource({
  type = 'f32',
  extra = [],
  without,
  uniforms = UNIFORMS,
  body = '',
}: Variant = {}): string {
  const bindings = [
    `<storage, read> present_value: array<vec4<${type}>>`,
    `<storage, read> q: array<vec4<${type}>>`,
    `<storage, read> present_key: array<vec4<${type}>>`,
    '<storage, read> seqlens_k: array<i32>',
    `<storage, read_write> out_split_vx: array<vec4<${type}>>`,
    '<storage, read_write> metadata: array<vec2<f32>>',
    ...extra,
    '<uniform> uniforms: Uniforms',
  ].filter((binding) => !without || !binding.includes(` ${without}:`));
  return `${type === 'f16' ? 'enable f16;' : ''}
struct Uniforms { ${uniforms.join(', ')} };
${bindings.map((binding, i) => `@group(0) @binding(${i}) var${binding};`).join('\n')}
@compute @workgroup_size(64) fn main() { ${body} }`;
}

describe('matchProgram', () => {
  const match = (code: string, label = 'FlashAttentionDecodeQKV') =>
    matchProgram(onnxruntimeWeb, label, code);
  const reason = (code: string): string => {
    const program = match(code);
    if (!program || isMatched(program)) throw new Error('It was matched.');
    return program.reason;
  };

  test.each(['f32', 'f16'])('finds bindings and uniforms by name, %s', (type) => {
    const program = match(attendSource({ type }));
    expect(program).toMatchObject({
      role: 'attend',
      dtype: type,
      bindings: { present_value: 0, q: 1, present_key: 2, seqlens_k: 3, out_split_vx: 4, metadata: 5 },
      uniformBinding: 6,
    });
    if (!program || !isMatched(program)) throw new Error('not matched');
    expect(program.uniforms.alpha).toEqual({ offset: 8, type: 'f32' });
    expect(program.uniforms.new_sequence_length).toEqual({ offset: 32, type: 'u32' });
  });

  test('uniforms move with the struct', () => {
    const program = match(attendSource({ uniforms: ['local_window_size: u32', 'past: u32', ...UNIFORMS] }));
    if (!program || !isMatched(program)) throw new Error('not matched');
    expect(program.uniforms.head_size_vec?.offset).toBe(8);
    expect(program.unknownUniforms).toEqual(['past']);
  });

  test('other labels are none of ours', () => {
    expect(match(attendSource(), 'MatMulNBits')).toBeUndefined();
  });

  test('everything else is refused with its reason', () => {
    expect(reason(attendSource({ extra: ['<storage, read> attention_bias: array<f32>'] }))).toContain(
      'adds a bias',
    );
    expect(reason(attendSource({ extra: ['<storage, read> head_sink: array<f32>'] }))).toMatch(/sink/);
    expect(reason(attendSource({ extra: ['<storage, read> mystery: array<f32>'] }))).toContain('mystery');
    expect(reason(attendSource({ without: 'metadata' }))).toContain('has no binding "metadata"');
    expect(match(attendSource({ without: 'seqlens_k' }))).toHaveProperty('bindings');
    expect(reason(attendSource({ type: 'u32' }))).toContain('u32');
    expect(reason(attendSource({ uniforms: UNIFORMS.slice(1) }))).toContain('head_size_vec');
    expect(reason(attendSource({ uniforms: ['shape: vec3<u32>', ...UNIFORMS] }))).toContain(
      'shape: vec3<u32>',
    );
    expect(reason(`override span: u32 = 0u;${attendSource()}`)).toContain('"span"');
    expect(reason(attendSource({ extra: [' constructor: texture_2d<f32>'] }))).toContain('else than buffers');
    expect(reason(attendSource({ extra: ['<storage, read> constructor: array<f32>'] }))).toContain(
      'unknown binding "constructor"',
    );
    expect(reason(attendSource({ body: 'let softcap = tanh(1.0);' }))).toContain('soft cap');
    expect(reason(attendSource().replace('read> q', 'read_write> q'))).toContain('read_write');
    expect(reason(attendSource({ uniforms: ['m: mat2x2<f32>', ...UNIFORMS] }))).toContain(
      'was not understood',
    );
  });
});
