import { describe, expect, it } from 'vitest';
import { createRandom, ThresholdTracker } from '../oracle/index.ts';
import {
  learnedPolicy,
  paperPolicy,
  probabilityPolicy,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from '../policy/index.ts';
import { LOG_FLOOR } from './powerlaw.ts';

/** Observes log theta = `law(step, length)` at steps first..last with length = prompt + step. */
function feed(
  tracker: ThresholdTracker,
  first: number,
  last: number,
  law: (step: number, length: number) => number,
  prompt = 1000,
) {
  let used = 0;
  for (let g = first; g <= last; g++) if (tracker.observe(g, prompt + g, law(g, prompt + g))) used++;
  return used;
}

const inverse = (_step: number, length: number) => Math.log(0.3 / length);
const policy = (change: Partial<ThresholdPolicy>) =>
  validatePolicy({ ...learnedPolicy({ warmup: 4 }), ...change });

describe('warm-up and fit', () => {
  it('is dense through step w and sifts from w + 1', () => {
    const tracker = new ThresholdTracker(paperPolicy({ warmup: 8 }));
    const law = (g: number) => -5 - 0.5 * Math.log(g);
    for (let g = 1; g <= 8; g++) {
      expect(tracker.logThreshold(g, 100 + g)).toBe(-Infinity);
      expect(tracker.fit).toBeUndefined();
      expect(tracker.observe(g, 100 + g, law(g))).toBe(true);
    }
    expect(tracker.fit).toMatchObject({ ok: true, points: 8 });
    expect(tracker.fit?.beta).toBeCloseTo(-0.5, 12);
    expect(tracker.logThreshold(8, 108)).toBe(-Infinity);
    expect(tracker.logThreshold(9, 109)).toBeCloseTo(law(9), 12);
    expect(tracker.logThreshold(5000, 1)).toBeCloseTo(law(5000), 12);
  });

  it('follows 1/S on the length axis by default', () => {
    const tracker = new ThresholdTracker(learnedPolicy({ warmup: 4 }));
    feed(tracker, 1, 4, inverse);
    expect(tracker.logThreshold(5, 9000)).toBeCloseTo(Math.log(0.3 / 9000), 12);
    expect(tracker.logThreshold(500, 9000)).toBe(tracker.logThreshold(5, 9000));
  });

  it('takes the exact quantile or mass threshold of probabilities', () => {
    const p = Float32Array.of(0.5, 0.25, 0.125, 0.125);
    const quantiles = new ThresholdTracker(learnedPolicy({ tau: 0.7, warmup: 1 }));
    quantiles.observe(1, 4, p);
    expect(quantiles.logThreshold(2, 4)).toBeCloseTo(Math.log(0.25), 12);
    const mass = new ThresholdTracker(policy({ target: { kind: 'mass', epsilon: 0.26 }, warmup: 1 }));
    mass.observe(1, 4, p);
    expect(mass.logThreshold(2, 4)).toBeCloseTo(Math.log(0.25), 12);
    expect(() => mass.reset()).not.toThrow();
    expect(() => mass.observe(1, 5, p)).toThrow(expect.objectContaining({ option: 'observed' }));
  });

  it('keeps log(0) finite, from probabilities and from logs', () => {
    for (const zero of [new Float32Array(9), -Infinity]) {
      const tracker = new ThresholdTracker(learnedPolicy({ warmup: 1 }));
      tracker.observe(1, 9, zero);
      expect(tracker.logThreshold(2, 9)).toBeCloseTo(LOG_FLOOR, 12);
    }
  });

  it('waits with the fit when observations are lost', () => {
    const tracker = new ThresholdTracker(paperPolicy({ warmup: 4 }));
    feed(tracker, 2, 2, inverse);
    expect(tracker.logThreshold(5, 1005)).toBe(-Infinity);
    expect(tracker.wantsObservation(6)).toBe(true);
    feed(tracker, 6, 6, inverse);
    expect(tracker.fit).toMatchObject({ ok: true, points: 2 });
    expect(tracker.logThreshold(7, 1007)).toBeGreaterThan(-Infinity);

    const late = new ThresholdTracker(paperPolicy({ warmup: 4 }));
    feed(late, 9, 9, inverse);
    expect(late.fit).toBeUndefined();
  });

  it('forgets everything on reset', () => {
    const tracker = new ThresholdTracker(learnedPolicy({ warmup: 4 }));
    feed(tracker, 1, 4, inverse);
    for (let i = 0; i < 20; i++) tracker.observeMass(0.1);
    expect(tracker.guarded).toBe('kept-mass');
    tracker.reset();
    expect([tracker.fit, tracker.guarded]).toEqual([undefined, undefined]);
    expect(tracker.keptMass).toBeNaN();
    expect(feed(tracker, 1, 4, () => -2)).toBe(4);
    expect(tracker.logThreshold(5, 1005)).toBeLessThan(-1.9);
  });

  it('refuses positions that cannot be', () => {
    const tracker = new ThresholdTracker(learnedPolicy());
    expect(() => tracker.logThreshold(0, 5)).toThrow(expect.objectContaining({ option: 'step' }));
    expect(() => tracker.observe(1, 0, -1)).toThrow(expect.objectContaining({ option: 'length' }));
  });
});

describe('targets that are not learned', () => {
  it('are in force from the first step and want nothing', () => {
    const uniform = new ThresholdTracker(uniformPolicy({ c: 0.3 }));
    expect(uniform.logThreshold(1, 600)).toBeCloseTo(Math.log(0.0005), 12);
    const fixed = new ThresholdTracker(probabilityPolicy({ p: 1e-4 }));
    expect(fixed.logThreshold(1, 600)).toBe(Math.log(1e-4));
    expect(uniform.wantsObservation(1)).toBe(false);
    expect(uniform.observe(1, 600, -3)).toBe(false);
    expect(uniform.fit).toBeUndefined();
  });

  it('still keep to a warm-up if one is set', () => {
    const tracker = new ThresholdTracker(validatePolicy({ ...uniformPolicy({ c: 1 }), warmup: 3 }));
    expect([3, 4].map((g) => tracker.logThreshold(g, 10))).toEqual([-Infinity, Math.log(0.1)]);
  });

  it.each([paperPolicy({ tau: 0 }), uniformPolicy({ c: 0 }), probabilityPolicy({ p: 0 })])(
    'a dense $name policy never sifts or observes',
    (dense) => {
      const tracker = new ThresholdTracker(dense);
      expect(feed(tracker, 1, 100, inverse)).toBe(0);
      expect(tracker.logThreshold(101, 1101)).toBe(-Infinity);
    },
  );
});

describe('refits', () => {
  it('never come with refitEvery 0', () => {
    const tracker = new ThresholdTracker(policy({ refitEvery: 0 }));
    expect(feed(tracker, 1, 200, inverse)).toBe(4);
    expect(tracker.wantsObservation(1e6)).toBe(false);
  });

  it('observe the last w steps before w + m, and replace the fit there', () => {
    const tracker = new ThresholdTracker(policy({ refitEvery: 10 }));
    feed(tracker, 1, 4, inverse);
    const wanted = Array.from({ length: 30 }, (_, i) => i + 5).filter((g) => tracker.wantsObservation(g));
    expect(wanted[0]).toBe(11);
    expect(feed(tracker, 5, 13, () => -20)).toBe(3);
    expect(tracker.logThreshold(14, 1014)).toBeCloseTo(inverse(14, 1014), 12);
    expect(feed(tracker, 14, 14, () => -20)).toBe(1);
    expect(tracker.fit?.points).toBe(4);
    expect(tracker.logThreshold(15, 1012)).toBeCloseTo(-20, 2);
    expect(tracker.wantsObservation(20)).toBe(false);
    expect(tracker.wantsObservation(21)).toBe(true);
  });

  it('use every step when they are closer than the warm-up is long', () => {
    const tracker = new ThresholdTracker(policy({ refitEvery: 2 }));
    expect(feed(tracker, 1, 10, inverse)).toBe(10);
    expect(tracker.fit?.points).toBe(2);
  });

  it('heal a guarded head', () => {
    const tracker = new ThresholdTracker(policy({ refitEvery: 10 }));
    feed(tracker, 1, 4, () => NaN);
    expect(tracker.guarded).toBe('failed-fit');
    expect(tracker.logThreshold(5, 1005)).toBe(-Infinity);
    feed(tracker, 11, 14, inverse);
    expect(tracker.guarded).toBeUndefined();
    expect(tracker.logThreshold(15, 1015)).toBeCloseTo(inverse(15, 1015), 12);
  });

  it('keep to the schedule after a late fit', () => {
    const tracker = new ThresholdTracker(policy({ refitEvery: 10 }));
    feed(tracker, 27, 27, inverse);
    expect(tracker.fit?.ok).toBe(true);
    expect([30, 31, 34].map((g) => tracker.wantsObservation(g))).toEqual([false, true, true]);
    feed(tracker, 31, 34, inverse);
    expect(tracker.fit?.points).toBe(4);
  });
});

describe('guard', () => {
  const rising = (g: number) => -9 + Math.log(g);

  it('stops a rising threshold, which the paper follows', () => {
    const guarded = new ThresholdTracker(policy({ axis: 'step', exponent: { kind: 'free' } }));
    const paper = new ThresholdTracker(paperPolicy({ warmup: 4 }));
    for (const tracker of [guarded, paper]) feed(tracker, 1, 4, rising);
    expect(guarded.guarded).toBe('rising-threshold');
    expect(guarded.logThreshold(100, 1100)).toBe(-Infinity);
    expect(paper.guarded).toBeUndefined();
    expect(paper.logThreshold(100, 1100)).toBeCloseTo(rising(100), 10);
  });

  it('has nothing to go by after a failed fit, guard or not', () => {
    const paper = new ThresholdTracker(paperPolicy({ warmup: 2 }));
    feed(paper, 1, 2, () => NaN);
    expect(paper.fit).toMatchObject({ ok: false, reason: 'non-finite' });
    expect(paper.logThreshold(3, 1003)).toBe(-Infinity);
  });

  it('stops a head that keeps too little of its mass, 17 steps after the fit', () => {
    for (const fraction of [0.01, 0.45]) {
      const tracker = new ThresholdTracker(learnedPolicy({ warmup: 4 }));
      feed(tracker, 1, 4, inverse);
      for (let i = 1; i <= 16; i++) tracker.observeMass(fraction);
      expect(tracker.guarded).toBeUndefined();
      tracker.observeMass(fraction);
      expect(tracker.guarded).toBe('kept-mass');
      expect(tracker.logThreshold(22, 1022)).toBe(-Infinity);
      tracker.observeMass(0.9);
      expect(tracker.keptMass).toBeCloseTo(fraction, 12);
    }
  });

  it('leaves alone a head that keeps most of its mass, and the paper', () => {
    const random = createRandom(61);
    const ours = new ThresholdTracker(learnedPolicy({ warmup: 4 }));
    const paper = new ThresholdTracker(paperPolicy({ warmup: 4 }));
    const mass = new ThresholdTracker(policy({ target: { kind: 'mass', epsilon: 0.02 } }));
    for (const tracker of [ours, paper, mass]) feed(tracker, 1, 4, inverse);
    for (let i = 0; i < 500; i++) {
      ours.observeMass(0.6 + 0.4 * random.uniform());
      paper.observeMass(0);
      mass.observeMass(0.95);
    }
    expect([ours, paper, mass].map((tracker) => tracker.guarded)).toEqual([undefined, undefined, undefined]);
    expect(mass.keptMass).toBeCloseTo(0.95, 10);
  });

  it('starts the average anew with a fit', () => {
    const tracker = new ThresholdTracker(policy({ refitEvery: 10 }));
    feed(tracker, 1, 4, inverse);
    for (let i = 0; i < 10; i++) tracker.observeMass(0.1);
    feed(tracker, 11, 14, inverse);
    expect(tracker.keptMass).toBeNaN();
    for (let i = 0; i < 16; i++) tracker.observeMass(0.1);
    expect(tracker.guarded).toBeUndefined();
  });

  it('trips at once on a kept mass that is not a number', () => {
    const tracker = new ThresholdTracker(learnedPolicy({ warmup: 1 }));
    tracker.observe(1, 10, -3);
    tracker.observeMass(NaN);
    expect(tracker.guarded).toBe('kept-mass');
  });
});
