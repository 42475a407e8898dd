import { beforeAll, describe, expect, test } from 'vitest';
import { learnedPolicy, presetPolicy, validatePolicy } from '../../policy/index.ts';
import { describeCase, drawCase, drawShape, runCase } from '../../testing/conformance.ts';
import { testDevice } from '../../testing/device.ts';
import { MAX_HEAD_SIZE } from '../shape.ts';
import { AttentionEncoder, createStepResources, destroyStepResources } from '../step/encoder.ts';
import { stepKinds } from '../step/step-kinds.ts';
import { runStepCases } from './step-cases.ts';
import { ERROR_BOUND, THRESHOLD_BOUND } from './test-cases.ts';
import { canUseSubgroups, fastestVariant } from './variants.ts';

const SHAPES = 30;
const CASES_PER_SHAPE = 8;

describe('kernels against the f64 reference', () => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await testDevice();
  });

  // The software adapter needs seconds to compile the kernels of a shape. More cases of the same shape cost
  // little.
  test(`${SHAPES} random shapes, ${CASES_PER_SHAPE} random cases each`, async () => {
    const worst = { f32: 0, f16: 0 };
    const wrong: string[] = [];
    for (let i = 0; i < SHAPES * CASES_PER_SHAPE; i++) {
      const shapeSeed = Math.floor(i / CASES_PER_SHAPE);
      const shape = drawShape(shapeSeed);
      const c = drawCase(i + 1, shape, { subgroups: shapeSeed % 2 === 0 && canUseSubgroups(device) });
      const { error, countsAgree } = await runCase(device, c);
      worst[shape.dtype] = Math.max(worst[shape.dtype], error);
      if (!(error < ERROR_BOUND[shape.dtype]) || !countsAgree) {
        wrong.push(`${describeCase(c)}: error ${error}, counts agree: ${countsAgree}`);
      }
    }
    console.log(`worst relative error: f32 ${worst.f32.toExponential(2)}, f16 ${worst.f16.toExponential(2)}`);
    expect(wrong).toEqual([]);
  });

  // The shapes are those of the test before, so that many kernels are compiled already.
  test('one pass keeps what the reference keeps by the same estimate', async ({ skip }) => {
    if (!canUseSubgroups(device)) skip();
    const wrong: string[] = [];
    let estimated = 0;
    for (let shapeSeed = 0; shapeSeed < 12; shapeSeed += 2) {
      const shape = drawShape(shapeSeed);
      for (let i = 0; i < CASES_PER_SHAPE; i++) {
        // Every other case refines scores and gives edge keys splits of their own, as GPUs with shader-f16
        // do.
        const c = {
          ...drawCase(1000 * shapeSeed + i, shape, { subgroups: true, onePass: true }),
          tuning: { refine: i % 2 === 1, edgeApart: i % 2 === 1 },
        };
        const { error, countsAgree } = await runCase(device, c);
        if (Math.max(...c.lengths) > 128) estimated++;
        if (!(error < ERROR_BOUND[shape.dtype]) || !countsAgree) {
          wrong.push(`${describeCase(c)}: error ${error}, counts agree: ${countsAgree}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(estimated).toBeGreaterThan(10);
  });

  // There are more than eight heads, so that combine has one workgroup for a whole row. The groups of five are cut into blocks of four and
  // one. With this seed both shapes drop enough rows for wrong moments to show.
  test.each([
    ['f32', 9, 3, true],
    ['f16', 10, 2, false],
  ] as const)(
    'the largest heads: %s, %i/%i, subgroups: %s',
    async (dtype, queryHeads, kvHeads, subgroups) => {
      const shape = { queryHeads, kvHeads, headSize: MAX_HEAD_SIZE, dtype };
      const resources = await createStepResources(device);
      const variant = fastestVariant(device, shape, { subgroups: subgroups && canUseSubgroups(device) });
      const sifting = presetPolicy('balanced');
      const learning = validatePolicy({ ...learnedPolicy({ warmup: 2 }), refitEvery: 8 });
      const encoder = await AttentionEncoder.create(resources, shape, variant, sifting, learning);
      const seen = new Set<string>();
      for (const policy of [sifting, learning]) {
        const kinds = stepKinds(policy, shape, variant.subgroupSize > 0).filter((kind) => !seen.has(kind));
        for await (const outcome of runStepCases(encoder, { seed: 5, kinds, policy, lengths: [150] })) {
          const { kind, error, learnedError, countsAgree } = outcome;
          seen.add(kind);
          expect(error, kind).toBeLessThan(ERROR_BOUND[dtype]);
          expect(learnedError, kind).toBeLessThan(THRESHOLD_BOUND);
          expect(countsAgree, kind).toBe(true);
        }
      }
      destroyStepResources(resources);
      const inOnePass = variant.subgroupSize > 0 ? ['sift'] : [];
      expect([...seen].toSorted()).toEqual(
        ['dense', 'exact', 'exactLearn', 'learn', ...inOnePass].toSorted(),
      );
    },
  );
});
