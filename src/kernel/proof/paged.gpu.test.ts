// Holds the paged layout against the f64 oracle: random page tables, lengths, group sizes, kinds of steps,
// f32 and f16.
import { beforeAll, describe, expect, test } from 'vitest';
import { learnedPolicy, presetPolicy, validatePolicy } from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import type { DType } from '../shape.ts';
import { AttentionEncoder, createStepResources, type StepResources } from '../step/encoder.ts';
import { type StepKind, stepKinds } from '../step/step-kinds.ts';
import { pagedKv } from '../text/kv-paged.ts';
import { runPagedCase } from './paged-self-test.ts';
import { ERROR_BOUND, THRESHOLD_BOUND } from './test-cases.ts';
import { canUseSubgroups, fastestVariant } from './variants.ts';

/** Two policies that together have every kind of step. */
const POLICIES = [
  presetPolicy('balanced'),
  validatePolicy({ ...learnedPolicy({ warmup: 4 }), refitEvery: 8 }),
];
const LENGTHS = [1, 15, 16, 17, 130, 511, 700];
const SHAPES: { group: number; kvHeads: number; headSize: number; pageSize: number; dtype: DType }[] = [
  { group: 1, kvHeads: 3, headSize: 96, pageSize: 16, dtype: 'f32' },
  { group: 1, kvHeads: 2, headSize: 20, pageSize: 16, dtype: 'f16' },
  { group: 4, kvHeads: 2, headSize: 64, pageSize: 16, dtype: 'f16' },
  { group: 4, kvHeads: 1, headSize: 128, pageSize: 8, dtype: 'f32' },
  { group: 7, kvHeads: 2, headSize: 64, pageSize: 16, dtype: 'f16' },
  { group: 7, kvHeads: 1, headSize: 64, pageSize: 16, dtype: 'f32' },
  { group: 8, kvHeads: 1, headSize: 128, pageSize: 32, dtype: 'f16' },
  { group: 8, kvHeads: 2, headSize: 64, pageSize: 16, dtype: 'f32' },
];

describe('paged kernels against the f64 reference', () => {
  let resources: StepResources;
  beforeAll(async () => {
    resources = await createStepResources(await testDevice());
  });

  test.each(SHAPES)('group $group, $kvHeads KV heads of $headSize, $dtype, pages of $pageSize', async (s) => {
    const shape = { ...s, queryHeads: s.group * s.kvHeads };
    const subgroups = s.dtype === 'f32' && canUseSubgroups(resources.device);
    const variant = fastestVariant(resources.device, shape, { subgroups, kv: pagedKv(s.pageSize) });
    const encoder = await AttentionEncoder.create(resources, shape, variant, ...POLICIES);
    const kinds = new Map<StepKind, (typeof POLICIES)[number]>();
    for (const policy of POLICIES)
      for (const kind of stepKinds(policy, shape, subgroups)) kinds.set(kind, policy);
    let worst = 0;
    for (const [i, length] of LENGTHS.entries()) {
      for (const [kind, policy] of kinds) {
        const test = { seed: 31 * i + s.group, length, kind, policy, tableOffset: i };
        const outcome = await runPagedCase(encoder, s.pageSize, test);
        worst = Math.max(worst, outcome.error);
        expect(outcome.error, `length ${length}, ${kind}`).toBeLessThan(ERROR_BOUND[s.dtype]);
        expect(outcome.lseError, `length ${length}, ${kind}`).toBeLessThan(1e-4);
        expect(outcome.countsAgree, `length ${length}, ${kind}`).toBe(true);
        expect(outcome.learnedError, `length ${length}, ${kind}`).toBeLessThan(THRESHOLD_BOUND);
      }
    }
    console.log(`group ${s.group} ${s.dtype}: worst relative error ${worst.toExponential(2)}`);
  });
});
