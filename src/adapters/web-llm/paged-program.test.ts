import { describe, expect, test } from 'vitest';
import { webLlm } from '../../../patches/web-llm.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import { stockPagedKernel } from '../../testing/web-llm/stock-kernel.ts';
import type { WebGpuContext } from './engine.ts';
import { readPagedCall } from './paged-call.ts';
import { matchPaged, type PagedProgram } from './paged-program.ts';

const SHAPE: AttentionShape = { queryHeads: 32, kvHeads: 8, headSize: 64, dtype: 'f32' };
const match = (shape = SHAPE, edit = (code: string) => code, pageSize = 16) => {
  const { info, code } = stockPagedKernel(shape, pageSize);
  return matchPaged(webLlm, info, edit(code));
};

describe('matchPaged', () => {
  test.each<[AttentionShape, number]>([
    [SHAPE, 16],
    [{ queryHeads: 32, kvHeads: 32, headSize: 96, dtype: 'f16' }, 16],
    [{ queryHeads: 14, kvHeads: 2, headSize: 64, dtype: 'f16' }, 16],
    [{ queryHeads: 16, kvHeads: 2, headSize: 128, dtype: 'f32' }, 32],
    [{ queryHeads: 8, kvHeads: 1, headSize: 512, dtype: 'f16' }, 16],
  ])('finds %o in pages of %i', (shape, pageSize) => {
    const program = match(shape, undefined, pageSize) as PagedProgram;
    expect(program.shape).toEqual(shape);
    expect(program.pageSize).toBe(pageSize);
    expect(program.args.Q).toBe(0);
    expect(program.args.q_rope_position).toBe(8);
    expect(program.args.B).toBe(9);
    expect(program.args.sm_scale).toBe(21);
    expect(program.batchArg).toBe(22);
  });

  test('takes other ways of writing the same addresses', () => {
    const scalars = (code: string) =>
      code.replaceAll(/(Q|pages|output) : array<vec4<f32>>/g, '$1 : array<f32>');
    expect((match(SHAPE, scalars) as PagedProgram).shape).toEqual(SHAPE);
    const shifted = (code: string) => code.replaceAll('table_end * 16i', 'table_end << 4u');
    expect((match(SHAPE, shifted) as PagedProgram).pageSize).toBe(16);
    // Counted in vectors throughout.
    const vectors = (code: string) =>
      code.replaceAll(/output\[[^\]]*\]/g, 'output[((bx * 512i) + (by * 64i)) + tx]');
    expect((match(SHAPE, vectors) as PagedProgram).shape).toEqual(SHAPE);
    const older = (code: string) => code.replaceAll('sm_scale', 'attn_score_scaling_factor');
    expect((match(SHAPE, older) as PagedProgram).args.attn_score_scaling_factor).toBe(21);
  });

  test('refuses heads that no kernel was proven for', () => {
    expect(match({ ...SHAPE, headSize: 520 })).toMatch('do not fit together');
  });

  test.each<[string, (code: string) => string]>([
    ['unknown binding "cache"', (code) => code.replaceAll(/\bpages\b/g, 'cache')],
    ['no binding "lse"', (code) => code.replace(/^.*> lse : .*$/m, '')],
    ['is read', (code) => code.replace('<storage, read_write> lse', '<storage, read> lse')],
    ['mixes', (code) => code.replace('pages : array<vec4<f32>>', 'pages : array<vec4<f16>>')],
    ['is of u32', (code) => code.replace('length_info : array<i32>', 'length_info : array<u32>')],
    ['unknown scalar "window"', (code) => code.replaceAll('max_num_pages', 'window')],
    ['scalars', (code) => code.replace('  rope_scale: f32,\n', '')],
    ['no scale', (code) => code.replaceAll('sm_scale', 'rope_scale')],
    [
      'inline rotary',
      (code) => `${code.replaceAll('rotary_mode', 'batch_size')}\nfn f() -> f32 { return cos(1.0); }`,
    ],
    ['soft cap', (code) => `${code}\nfn f() -> f32 { return tanh(1.0); }`],
    ['sinks', (code) => `${code}\n// attention sink`],
    ['does not read the page table', (code) => code.replaceAll('let page_no : i32', 'let page_no')],
    ['do not fit together', (code) => code.replaceAll('page_no * 16384i', 'page_no * 16380i')],
    ['does not tell', (code) => code.replaceAll(/lse\[[^\]]*\]/g, 'lse[by]')],
  ])('refuses: %s', (reason, edit) => {
    expect(match(SHAPE, edit)).toMatch(reason);
  });
});

describe('readPagedCall', () => {
  const program = match() as PagedProgram;
  const buffers = [
    undefined,
    ...Array.from({ length: 9 }, (_, i) => ({ label: `buffer ${i}` }) as GPUBuffer),
  ];
  const context = { bufferTable: buffers } as unknown as WebGpuContext;
  const call = (changes: Record<string, number> = {}, length = 40) => {
    const args = [
      1,
      2,
      3,
      4,
      5,
      6,
      7,
      8,
      9,
      ...[1, 0, 0, 64, 3, 0, 20, 0, 0, 1, 10000, 0, 0.125],
      ...[1, 8, 16, 4, 4],
    ];
    for (const [name, value] of Object.entries(changes)) args[program.args[name]!] = value;
    return readPagedCall(program, args, context, length);
  };

  test('reads buffers and scalars by name', () => {
    expect(call()).toEqual({
      q: { buffer: buffers[1] },
      lse: { buffer: buffers[4] },
      output: { buffer: buffers[5] },
      table: { buffer: buffers[7] },
      tableOffset: 20,
      pages: { buffer: buffers[8] },
      scale: 0.125,
    });
  });

  test('says what is not as expected', () => {
    expect(call({ rotary_mode: 1 })).toMatch('inline rotary');
    expect(call({}, 49)).toMatch('3 pages where 49 keys need 4');
    expect(call({ pages_elem_offset: 64 })).toMatch('do not begin');
    expect(call({ sm_scale: 0 })).toMatch('scale');
    expect(call({ output: 30 })).toMatch('not in the table');
    const two = [...new Array<number>(22).fill(1), 2, 8];
    expect(readPagedCall(program, two, context, 40)).toMatch('2 sequences');
  });
});
