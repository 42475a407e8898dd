import { describe, expect, test } from 'vitest';
import { ThresholdTracker } from '../oracle/index.ts';
import { learnedPolicy, paperPolicy, uniformPolicy } from './policies.ts';
import { measuresWindow, planStep } from './step-plan.ts';
import { validatePolicy } from './validate.ts';

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

  test('in a window they are measured again when it has moved on by an eighth', () => {
    const measured = (window: number, refitEvery = 512) => {
      const policy = validatePolicy({ ...uniformPolicy({ c: 1 }), refitEvery });
      const rows = Array.from({ length: 50 }, (_, i) => i);
      return rows.filter((firstKey) => measuresWindow(policy, firstKey, window));
    };
    expect(measured(128)).toEqual([16, 32, 48]);
    expect(measured(100)).toEqual([12, 24, 36, 48]);
    expect(measured(3).length).toBe(49);
    // A policy that measures them once, and policies that need none.
    expect(measured(128, 0)).toEqual([]);
    expect(measuresWindow(learnedPolicy(), 16, 128)).toBe(false);
    expect(measuresWindow(uniformPolicy({ c: 0 }), 16, 128)).toBe(false);
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

  test('a step that was missed is made up for: the window is filled without a gap, later', () => {
    const policy = validatePolicy({ ...learnedPolicy({ warmup: 3 }), refitEvery: 5 });
    const lost = new Set([2, 3, 8]);
    const indices: number[] = [];
    const fits: number[] = [];
    let missed = 0;
    for (let step = 1; step <= 12; step++) {
      const plan = planStep(policy, step, 100 + step, missed);
      if (plan.windowIndex >= 0) {
        if (lost.has(step)) missed++;
        else indices.push(plan.windowIndex);
      }
      if (plan.fit && !lost.has(step)) fits.push(step);
    }
    expect(indices).toEqual([0, 1, 2, 0, 1, 2]);
    expect(fits).toEqual([5, 11]);
  });
});
