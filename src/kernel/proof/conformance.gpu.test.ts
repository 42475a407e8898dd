import { beforeAll, describe, expect, test } from 'vitest';
import { describeCase, drawCase, drawShape, runCase } from '../../testing/conformance.ts';
import { testDevice } from '../../testing/device.ts';
import { ERROR_BOUND } from './test-cases.ts';
import { canUseSubgroups } from './variants.ts';

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
});
