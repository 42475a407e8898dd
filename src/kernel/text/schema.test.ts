// Holds the schema against the assembled WGSL, with a parser that knows nothing of it, and checks what the
// WGSL files say at their heads.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WgslReflect } from 'wgsl_reflect';
import { ROOT } from '../../../lab/root.ts';
import { withoutBodies } from '../../testing/wgsl-functions.ts';
import type { AttentionShape } from '../shape.ts';
import { DEFAULT_TUNING } from '../step/tuning.ts';
import { assemble } from './assemble.ts';
import { kernelConstants } from './constants.ts';
import { hasKernel, KERNEL_NAMES, kernelOf } from './kernels.ts';
import { CONTIGUOUS_KV } from './kv-layout.ts';
import { pagedKv } from './kv-paged.ts';
import * as wgsl from './modules.ts';
import { BUFFERS, HEAD_BYTES, HEAD_STATE, PARAMS, PARAMS_BYTES } from './schema.ts';
import type { KernelVariant } from './variant.ts';

const SHAPE: AttentionShape = { queryHeads: 32, kvHeads: 8, headSize: 64, dtype: 'f16' };
const TUNING = { ...DEFAULT_TUNING, unrolled: false };
const VARIANTS: KernelVariant[] = [
  { subgroupSize: 32, halfScreen: false, packedDot: true, kv: pagedKv(16), tuning: TUNING },
  { subgroupSize: 0, halfScreen: false, packedDot: false, kv: CONTIGUOUS_KV, tuning: TUNING },
];
const NOTING = {
  subgroupSize: 32,
  halfScreen: true,
  packedDot: true,
  kv: CONTIGUOUS_KV,
  tuning: TUNING,
  notesReads: true,
};
VARIANTS.push(NOTING, { ...NOTING, subgroupSize: 0, halfScreen: false });
const KERNELS = VARIANTS.flatMap((variant) =>
  KERNEL_NAMES.filter((name) => hasKernel(name, variant)).map((name) => {
    const sinks = !variant.kv.merges;
    const kernel = kernelOf(name, variant, { ...SHAPE, sinks });
    const noting = variant.notesReads ? ', noting' : '';
    const title = `${name} ${variant.kv.name}, ${variant.subgroupSize}${sinks ? ' with sinks' : ''}${noting}`;
    return { name: title, kernel, variant, code: assemble(kernel, SHAPE, variant) };
  }),
);

describe.each(KERNELS)('$name', ({ kernel, code }) => {
  const reflect = new WgslReflect(
    withoutBodies(code.replace(/^(enable|diagnostic).*$/gm, '').replace(/\/\/.*/g, '')),
  );

  test('binds its buffers in order, and uses each', () => {
    const bound = reflect.storage.toSorted((a, b) => a.binding - b.binding);
    expect(bound.map(({ name, binding }) => [binding, name])).toEqual(
      kernel.buffers.map(({ name }, i) => [i + 1, name]),
    );
    for (const [i, { access }] of kernel.buffers.entries()) {
      expect(bound[i]!.access).toBe(access === 'read' ? 'read' : 'read_write');
    }
    for (const { name } of kernel.buffers) {
      expect(code.match(new RegExp(`\\b${name}\\b`, 'g'))!.length, name).toBeGreaterThan(1);
    }
  });

  test('has the parameters and the state of a head as the host writes and reads them', () => {
    for (const [name, fields, bytes] of [
      ['Params', PARAMS, PARAMS_BYTES],
      ['HeadState', HEAD_STATE, HEAD_BYTES],
    ] as const) {
      const struct = reflect.structs.find((s) => s.name === name)!;
      expect(struct.size).toBe(bytes);
      expect(struct.members.map((m) => [m.name, m.type.name, m.offset])).toEqual(
        fields.map(([field, type], i) => [field, type, 4 * i]),
      );
    }
  });
});

const MODULES = Object.values(wgsl);
const allConstants = new Set([
  ...VARIANTS.flatMap((variant) =>
    Object.keys(kernelConstants(kernelOf('combine', variant, SHAPE), SHAPE, variant)),
  ),
  'PAGE',
]);

describe('WGSL files', () => {
  test('each is a module of its own name', () => {
    const files = readdirSync(join(ROOT, 'wgsl'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.wgsl'))
      .map((file) => file.replace(/\.wgsl$/, ''));
    expect(MODULES.map(({ name }) => name).toSorted()).toEqual(files.toSorted());
    for (const { name, text } of MODULES) {
      expect(text, name).toBe(readFileSync(join(ROOT, 'wgsl', `${name}.wgsl`), 'utf8'));
    }
  });

  test.each(MODULES)('$name states the constants it needs, and no others', ({ text }) => {
    const constants = [...text.matchAll(/^\/\/ Constants: (.+)$/gm)].flatMap(([, names]) =>
      names!.split(', '),
    );
    const code = text.replace(/\/\/.*/g, '');
    const declared = new Set([...code.matchAll(/\b(?:const|alias)\s+(\w+)/g)].map(([, name]) => name));
    const used = new Set(
      [...code.matchAll(/\b[A-Z][A-Z0-9_]*\b/g)]
        .map(([name]) => name)
        .filter((name) => allConstants.has(name)),
    );
    expect([...constants].toSorted()).toEqual([...used].filter((name) => !declared.has(name)).toSorted());
  });

  test.each(MODULES.filter(({ text }) => text.includes('@compute')))(
    '$name states the buffers it has',
    ({ name, text }) => {
      if (name === 'proof/compare') return; // it binds its own
      const stated = /^\/\/ Buffers: (.+)$/m.exec(text)?.[1];
      const uses = KERNELS.filter(({ kernel }) => kernel.modules.some((m) => m.name === name)).flatMap(
        ({ kernel }) => kernel.buffers,
      );
      // Only buffers that this file itself uses count: modules of a variant add others (the scores for
      // learning, the log-sum-exp, the page table).
      const own = uses.filter(({ name: buffer }) =>
        new RegExp(`\\b${buffer}\\b`).test(text.replace(/\/\/.*/g, '')),
      );
      const names = [
        ...new Set(own.map((use) => (use.access === 'read' ? use.name : `${use.name} (written)`))),
      ];
      expect(stated?.split(', ')).toEqual(expect.arrayContaining(names));
      for (const buffer of stated!.split(', '))
        expect(Object.keys(BUFFERS)).toContain(buffer.replace(' (written)', ''));
    },
  );
});
