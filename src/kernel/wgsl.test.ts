import { describe, expect, test } from 'vitest';
import { WgslReflect } from 'wgsl_reflect';
import { pagedKv } from './kv-paged.ts';
import type { AttentionShape, DType } from './shape.ts';
import { DEFAULT_TUNING } from './tuning.ts';
import { assemble, figureKeepers, type KernelName, kernelSources, knownSplits } from './wgsl.ts';

/** WebGPU's default limits: what every device has. */
const MAX_WORKGROUP_STORAGE = 16_384;
const MAX_STORAGE_BUFFERS = 8;

const shapes: AttentionShape[] = [1, 4, 7, 8, 16, 64].flatMap((group) =>
  [4, 8, 20, 64, 80, 128, 256].flatMap((headSize) =>
    (['f32', 'f16'] as const).map((dtype) => ({ queryHeads: 2 * group, kvHeads: 2, headSize, dtype })),
  ),
);

/** Workgroup variables that a function uses, also through the functions it calls. */
function workgroupBytes(code: string): number {
  const reflect = new WgslReflect(code);
  const bodies = new Map<string, string>();
  for (const { name, startLine, endLine } of reflect.functions) {
    bodies.set(
      name,
      code
        .split('\n')
        .slice(startLine - 1, endLine)
        .join('\n'),
    );
  }
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

describe('kernels fit the limits that every WebGPU device has', () => {
  for (const name of Object.keys(kernelSources({ subgroupSize: 32 })) as KernelName[]) {
    test(name, () => {
      for (const subgroupSize of [0, 4, 32]) {
        // As loops: what is declared is the same, and the text is short.
        const target = { subgroupSize, tuning: { ...DEFAULT_TUNING, unrolled: false } };
        const kernel = kernelSources(target)[name];
        if (!kernel) continue;
        const { bindings, workgroupSize } = kernel;
        expect(workgroupSize).toBeLessThanOrEqual(256);
        expect(bindings.filter((kind) => kind !== 'params').length).toBeLessThanOrEqual(MAX_STORAGE_BUFFERS);
        const kv = pagedKv(16);
        const paged = kernelSources({ ...target, kv })[name]!;
        const buffers = paged.bindings.length - 1 + (paged.usesKv ? kv.bindings : 0);
        expect(buffers).toBeLessThanOrEqual(MAX_STORAGE_BUFFERS);
        for (const shape of shapes) {
          const code = assemble(name, shape, target).replace(/^(enable|diagnostic).*$/gm, '');
          const bytes = workgroupBytes(code);
          expect(bytes, `${JSON.stringify(shape)} ${subgroupSize}`).toBeGreaterThan(0);
          expect(bytes, `${JSON.stringify(shape)} ${subgroupSize}`).toBeLessThanOrEqual(
            MAX_WORKGROUP_STORAGE,
          );
        }
      }
    }, 60_000);
  }

  test('combineLearn in workgroups of 1024', () => {
    for (const subgroupSize of [4, 32]) {
      const target = { subgroupSize, tuning: { ...DEFAULT_TUNING, learnWorkgroup: 1024, unrolled: false } };
      for (const shape of shapes) {
        const code = assemble('combineLearn', shape, target).replace(/^(enable|diagnostic).*$/gm, '');
        expect(workgroupBytes(code)).toBeLessThanOrEqual(MAX_WORKGROUP_STORAGE);
      }
    }
  }, 60_000);
});

test('the first and the newest keys get as many splits of their own as they fill batches', () => {
  const shape = (queryHeads: number, headSize: number, dtype: DType) =>
    ({ queryHeads, kvHeads: 8, headSize, dtype }) as const;
  const target = { subgroupSize: 32 };
  expect(knownSplits(shape(32, 64, 'f16'), target)).toBe(1);
  expect(knownSplits(shape(32, 128, 'f16'), target)).toBe(1);
  expect(knownSplits(shape(32, 128, 'f32'), target)).toBe(2);
  expect(knownSplits(shape(64, 64, 'f16'), target)).toBe(0);
  expect(knownSplits(shape(32, 64, 'f16'), { subgroupSize: 0 })).toBe(0);
  expect(
    knownSplits(shape(32, 64, 'f16'), { ...target, tuning: { ...DEFAULT_TUNING, knownApart: false } }),
  ).toBe(0);
});

test('a subgroup keeps the figures of a head, without subgroups a workgroup', () => {
  const shape = (queryHeads: number) => ({ queryHeads, kvHeads: 2, headSize: 64, dtype: 'f16' }) as const;
  expect(figureKeepers(shape(32), { subgroupSize: 32 })).toBe(8);
  expect(figureKeepers(shape(14), { subgroupSize: 32 })).toBe(4);
  expect(figureKeepers(shape(14), { subgroupSize: 64 })).toBe(4);
  expect(figureKeepers(shape(14), { subgroupSize: 4 })).toBe(1);
  expect(figureKeepers(shape(14), { subgroupSize: 0 })).toBe(14);
});
