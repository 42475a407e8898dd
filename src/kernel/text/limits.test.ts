import { describe, expect, test } from 'vitest';
import { presetPolicy } from '../../policy/index.ts';
import { functionsOf } from '../../testing/wgsl-functions.ts';
import type { AttentionShape, DType } from '../shape.ts';
import { policyKernels } from '../step/step-kinds.ts';
import { DEFAULT_TUNING } from '../step/tuning.ts';
import { assemble } from './assemble.ts';
import { kernelConstants } from './constants.ts';
import type { KernelName } from './kernel.ts';
import { hasKernel, KERNEL_NAMES, kernelOf } from './kernels.ts';
import { CONTIGUOUS_KV } from './kv-layout.ts';
import { pagedKv } from './kv-paged.ts';
import type { KernelVariant } from './variant.ts';

const variant = (subgroupSize: number, changes: Partial<KernelVariant> = {}): KernelVariant => ({
  subgroupSize,
  halfScreen: false,
  packedDot: true,
  kv: CONTIGUOUS_KV,
  tuning: DEFAULT_TUNING,
  ...changes,
});

/** The default limits of WebGPU, which every device has. */
const MAX_WORKGROUP_STORAGE = 16_384;
const MAX_STORAGE_BUFFERS = 8;

const shapes: AttentionShape[] = [1, 4, 7, 8, 16, 64].flatMap((group) =>
  [4, 8, 20, 64, 80, 128, 256, 512].flatMap((headSize) =>
    (['f32', 'f16'] as const).map((dtype) => ({ queryHeads: 2 * group, kvHeads: 2, headSize, dtype })),
  ),
);

/** What buffers depend on of a layer. */
const LAYER = { headSize: 64 };
const SUNK = { ...LAYER, sinks: true };

/** Bytes of the workgroup variables that `main` uses, itself or through the functions it calls. */
function workgroupBytes(code: string): number {
  const bodies = functionsOf(code);
  const reached = new Set<string>();
  const visit = (name: string) => {
    if (reached.has(name)) return;
    reached.add(name);
    const body = bodies.get(name) ?? '';
    for (const other of bodies.keys()) if (new RegExp(`\\b${other}\\(`).test(body)) visit(other);
  };
  visit('main');
  const text = [...reached].map((name) => bodies.get(name)).join('\n');
  const constants = Object.fromEntries(
    [...code.matchAll(/const (\w+)(?:: \w+)? = ([^;]+);/g)].map((m) => [m[1]!, m[2]!]),
  );
  const evaluate = (expression: string): number => {
    let current = expression;
    for (let i = 0; i < 8; i++) current = current.replace(/\b[A-Z]\w+\b/g, (name) => `(${constants[name]})`);
    return Function(`const { max, min } = Math; return Math.floor(${current.replace(/(\d)u\b/g, '$1')})`)();
  };
  const bytes: Record<string, number> = {
    f32: 4,
    u32: 4,
    i32: 4,
    'vec4<u32>': 16,
    vec2f: 8,
    vec4f: 16,
    'atomic<u32>': 4,
    vec2u: 8,
    Found: 16,
  };
  let total = 0;
  for (const [, name, type] of code.matchAll(/var<workgroup> (\w+): ([^;]+);/g)) {
    if (!new RegExp(`\\b${name}\\b`).test(text)) continue;
    const array = /^array<(.+), ([^,]+)>$/.exec(type!);
    total += array ? bytes[array[1]!]! * evaluate(array[2]!) : bytes[type!]!;
  }
  return total;
}

/** Bytes of workgroup memory that a kernel uses. */
function memoryOf(name: KernelName, shape: AttentionShape, of: KernelVariant): number {
  const code = assemble(kernelOf(name, of, shape), shape, of);
  return workgroupBytes(code.replace(/^(enable|diagnostic).*$/gm, ''));
}

// Not unrolled: declarations are the same, and the text is shorter.
const LOOPS = { ...DEFAULT_TUNING, unrolled: false };

describe('kernels fit the limits that every WebGPU device has', () => {
  for (const name of KERNEL_NAMES) {
    test(name, () => {
      for (const subgroupSize of [0, 4, 32]) {
        const of = variant(subgroupSize, { tuning: LOOPS });
        if (!hasKernel(name, of)) continue;
        for (const kv of [CONTIGUOUS_KV, pagedKv(16)]) {
          if (!hasKernel(name, { ...of, kv })) continue;
          expect(kernelOf(name, { ...of, kv }, LAYER).buffers.length).toBeLessThanOrEqual(
            MAX_STORAGE_BUFFERS,
          );
        }
        expect(kernelOf(name, of, SUNK).buffers.length).toBeLessThanOrEqual(MAX_STORAGE_BUFFERS);
        for (const shape of shapes) {
          expect(kernelOf(name, of, shape).workgroupSize).toBeLessThanOrEqual(256);
          const bytes = memoryOf(name, shape, of);
          if (name !== 'encode') expect(bytes, `${JSON.stringify(shape)} ${subgroupSize}`).toBeGreaterThan(0);
          expect(bytes, `${JSON.stringify(shape)} ${subgroupSize}`).toBeLessThanOrEqual(
            MAX_WORKGROUP_STORAGE,
          );
        }
      }
    }, 60_000);
  }

  test('learn in workgroups of 1024', () => {
    for (const subgroupSize of [4, 32]) {
      const of = variant(subgroupSize, { tuning: { ...LOOPS, learnWorkgroup: 1024 } });
      for (const shape of shapes) {
        expect(memoryOf('learn', shape, of)).toBeLessThanOrEqual(MAX_WORKGROUP_STORAGE);
      }
    }
  }, 60_000);
});

test('what the default compiles for 32/8 heads of 64 in f16 is at most 200 KB', () => {
  const shape = { queryHeads: 32, kvHeads: 8, headSize: 64, dtype: 'f16' } as const;
  const of = variant(32, { halfScreen: true });
  const names = policyKernels(presetPolicy('balanced'), shape, true);
  const bytes = names.reduce((sum, name) => sum + assemble(kernelOf(name, of, shape), shape, of).length, 0);
  expect(names.toSorted()).toEqual(['combine', 'dense', 'moments', 'sift']);
  expect(bytes).toBeLessThanOrEqual(200 * 1024);
});

test('only the kernels that write the output read attention sinks, and none where the runtime merges attentions', () => {
  const of = variant(32);
  const names = KERNEL_NAMES.filter((name) =>
    kernelOf(name, of, SUNK).buffers.some((b) => b.name === 'sinks'),
  );
  expect(names).toEqual(['combine', 'learn']);
  for (const name of KERNEL_NAMES) {
    expect(kernelOf(name, of, LAYER).buffers.map((b) => b.name)).not.toContain('sinks');
    const paged = { ...of, kv: pagedKv(16) };
    if (!hasKernel(name, paged)) continue;
    expect(() => kernelOf(name, paged, SUNK)).toThrow('no attention sinks in a paged 16 cache');
  }
});

test('each vec4f of a row has an invocation where a kernel needs it, also if the tuning asks for few', () => {
  const tuning = { ...LOOPS, combineWorkgroup: 64, learnWorkgroup: 64 };
  const sizes = { moments: [128, 128, 128, 128], combine: [64, 64, 128, 128], learn: [64, 64, 128, 128] };
  for (const [name, expected] of Object.entries(sizes)) {
    for (const subgroupSize of [0, 4]) {
      const size = (headSize: number) =>
        kernelOf(name as KernelName, variant(subgroupSize, { tuning }), { headSize }).workgroupSize;
      expect([4, 256, 260, 512].map(size), name).toEqual(expected);
    }
  }
});

test('the edge keys get as many splits of their own as they fill tiles', () => {
  const splits = (
    queryHeads: number,
    headSize: number,
    dtype: DType,
    changes: Partial<KernelVariant> = {},
  ) => {
    const of = variant(32, changes);
    const shape = { queryHeads, kvHeads: 8, headSize, dtype };
    return kernelConstants(kernelOf('sift', of, shape), shape, of).EDGE_SPLITS;
  };
  expect(splits(32, 64, 'f16')).toBe(1);
  expect(splits(32, 128, 'f16')).toBe(1);
  expect(splits(32, 128, 'f32')).toBe(2);
  expect(splits(64, 64, 'f16')).toBe(0);
  expect(splits(32, 64, 'f16', { tuning: { ...DEFAULT_TUNING, edgeApart: false } })).toBe(0);
});

test('a subgroup keeps the figures of a head, without subgroups a workgroup', () => {
  const workgroups = (queryHeads: number, subgroupSize: number) => {
    const of = variant(subgroupSize);
    const shape = { queryHeads, kvHeads: 2, headSize: 64, dtype: 'f16' } as const;
    return kernelConstants(kernelOf('combine', of, shape), shape, of).FIGURE_WORKGROUPS;
  };
  expect(workgroups(32, 32)).toBe(8);
  expect(workgroups(14, 32)).toBe(4);
  expect(workgroups(14, 64)).toBe(4);
  expect(workgroups(14, 4)).toBe(1);
  expect(workgroups(14, 0)).toBe(14);
});
