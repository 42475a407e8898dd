import { describe, expect, test } from 'vitest';
import {
  learnedPolicy,
  paperPolicy,
  ThresholdTracker,
  uniformPolicy,
  validatePolicy,
} from '../tracker/index.ts';
import { Flag, planStep, writeParams } from './params.ts';

const GEOMETRY = {
  batch: 1,
  lengthBias: 1,
  capacity: 64,
  scoreStride: 64,
  splits: 2,
  chunk: 32,
  scale: 0.125,
};

function params(policy: Parameters<typeof planStep>[0], step: number): DataView {
  const view = new DataView(new ArrayBuffer(64));
  writeParams(view, GEOMETRY, policy, planStep(policy, step));
  return view;
}

describe('planStep', () => {
  test('warm-up steps are dense and recorded, the last one fits', () => {
    const policy = paperPolicy({ warmup: 4 });
    const plans = [1, 2, 3, 4, 5, 6].map((step) => planStep(policy, step));
    expect(plans.map((plan) => plan.dense)).toEqual([true, true, true, true, false, false]);
    expect(plans.map((plan) => plan.windowIndex)).toEqual([0, 1, 2, 3, -1, -1]);
    expect(plans.map((plan) => plan.fit)).toEqual([false, false, false, true, false, false]);
  });

  test('tau 0 keeps every row at every step and learns nothing', () => {
    for (const step of [1, 4, 500]) {
      expect(planStep(paperPolicy({ tau: 0 }), step)).toEqual({
        step,
        dense: true,
        windowIndex: -1,
        fit: false,
        measure: false,
      });
    }
  });

  test('a policy that learns nothing sifts from the first step', () => {
    expect(planStep(uniformPolicy({ c: 1 }), 1)).toEqual({
      step: 1,
      dense: false,
      windowIndex: -1,
      fit: false,
      measure: true,
    });
  });

  test('the moments of V are measured first, every refitEvery steps, and whenever the cache has grown by a tenth', () => {
    const measured = (prompt: number, steps: number, refitEvery: number) => {
      const policy = validatePolicy({ ...uniformPolicy({ c: 1 }), refitEvery });
      const all = Array.from({ length: steps }, (_, i) => i + 1);
      return all.filter((step) => planStep(policy, step, prompt + step).measure);
    };
    // From 64 keys at the first step: beyond 70.4, 77.4, 85.2, 93.7.
    expect(measured(63, 32, 512)).toEqual([1, 8, 15, 23, 31]);
    // From 101 keys: beyond 111.1 and 122.2.
    expect(measured(100, 24, 5)).toEqual([1, 6, 11, 12, 16, 21, 23]);
    expect(measured(100_000, 1100, 512)).toEqual([1, 513, 1025]);
    expect(measured(63, 600, 0)).toEqual([1]);
    // Right from the first key, where growth by a tenth is less than a key; and a policy that needs none.
    expect(measured(0, 12, 512)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(planStep(learnedPolicy(), 64, 128).measure).toBe(false);
  });

  test.each([
    [8, 6],
    [8, 20],
    [3, 3],
    [5, 0],
  ])('records and fits when the tracker does: warm-up %i, again every %i', (warmup, refitEvery) => {
    const policy = validatePolicy({ ...learnedPolicy({ warmup }), refitEvery });
    const tracker = new ThresholdTracker(policy);
    let fit = tracker.fit;
    for (let step = 1; step <= 70; step++) {
      const plan = planStep(policy, step);
      expect([step, plan.windowIndex >= 0]).toEqual([step, tracker.wantsObservation(step)]);
      tracker.observe(step, 100 + step, -5 - step / 10);
      expect([step, plan.fit]).toEqual([step, tracker.fit !== fit]);
      fit = tracker.fit;
    }
  });
});

describe('writeParams', () => {
  const flags = (view: DataView) => view.getUint32(32, true);

  test('paper: step axis, free exponent, nothing forced', () => {
    const view = params(paperPolicy({ tau: 0.75, warmup: 4 }), 2);
    expect(flags(view)).toBe(Flag.dense | Flag.record);
    expect(view.getUint32(24, true)).toBe(4); // window
    expect(view.getUint32(28, true)).toBe(1); // place in it
    expect(view.getFloat32(40, true)).toBe(0.75);
    expect(view.getFloat32(52, true)).toBeLessThan(0); // free
  });

  test('default: length axis, exponent fixed at -1', () => {
    const view = params(learnedPolicy({ tau: 0.75, warmup: 4 }), 5);
    expect(flags(view)).toBe(
      Flag.renormalise | Flag.share | Flag.newest | Flag.largest | Flag.lengthAxis | Flag.guard,
    );
    expect(view.getFloat32(48, true)).toBe(-1);
    expect(view.getFloat32(52, true)).toBe(0);
  });

  test('c / S is given as a law on the length', () => {
    const view = params(uniformPolicy({ c: 2 }), 1);
    expect(flags(view) & (Flag.analytic | Flag.lengthAxis)).toBe(Flag.analytic | Flag.lengthAxis);
    expect(view.getFloat32(44, true)).toBeCloseTo(Math.log(2), 6);
    expect(view.getFloat32(48, true)).toBe(-1);
  });
});
