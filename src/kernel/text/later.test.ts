import { expect, test } from 'vitest';
import { paperPolicy, presetPolicy, QUALITIES } from '../../policy/index.ts';
import type { AttentionShape } from '../shape.ts';
import { policyKernels } from '../step/step-kinds.ts';
import { DEFAULT_TUNING } from '../step/tuning.ts';
import { kernelOf } from './kernels.ts';
import { CONTIGUOUS_KV } from './kv-layout.ts';
import { comesLater } from './later.ts';
import { LATER_TEXTS } from './later-texts.ts';
import * as wgsl from './modules.ts';

const SHAPES = [
  [32, 8, 64],
  [14, 2, 64],
  [9, 3, 64],
  [16, 8, 128],
] as const;

/** The modules that come later of those that a policy needs. */
function laterModules(policy: Parameters<typeof policyKernels>[0], subgroupSize: number): string[] {
  const names = SHAPES.flatMap(([queryHeads, kvHeads, headSize]) => {
    const shape: AttentionShape = { queryHeads, kvHeads, headSize, dtype: 'f16' };
    const variant = {
      subgroupSize,
      halfScreen: subgroupSize > 0,
      packedDot: true,
      kv: CONTIGUOUS_KV,
      tuning: DEFAULT_TUNING,
    };
    return policyKernels(policy, shape, subgroupSize > 0).flatMap((name) => [
      ...kernelOf(name, variant, shape).modules,
    ]);
  });
  return [...new Set(names.filter(comesLater).map(({ name }) => name))];
}

test.each(QUALITIES)("the preset '%s' needs nothing that comes later", (quality) => {
  expect(laterModules(presetPolicy(quality), 32)).toEqual([]);
});

test('a device without subgroups needs what comes later', () => {
  expect(laterModules(presetPolicy('balanced'), 0)).toEqual([
    'portable/scores',
    'portable/gather',
    'portable/softmax',
  ]);
});

test('thresholds that are learned and the shadow of K need what comes later', () => {
  expect(laterModules(paperPolicy(), 32)).toContain('learn/learn');
  expect(laterModules(presetPolicy('balanced', 'shadow'), 32)).toContain('shadow/shadow');
});

test('every module that comes later has a text', () => {
  const later = Object.values(wgsl).filter(comesLater);
  expect(later.map(({ name }) => name).sort()).toEqual(Object.keys(LATER_TEXTS).sort());
  for (const { name, text } of later) expect(text).toBe(LATER_TEXTS[name]);
});
