import { describe, expect, it } from 'vitest';
import {
  isDense,
  isLearned,
  learnedPolicy,
  paperPolicy,
  probabilityPolicy,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from '../policy/index.ts';

describe('policies', () => {
  it('has the paper exactly', () => {
    expect(paperPolicy()).toEqual({
      name: 'paper',
      target: { kind: 'quantile', tau: 0.875 },
      axis: 'step',
      exponent: { kind: 'free' },
      warmup: 64,
      dropped: 'none',
      normaliser: 'exact',
      keys: 'exact',
      shareGroup: false,
      keepNewest: false,
      keepLargest: false,
      refitEvery: 0,
      guard: false,
    });
  });

  it('differs from the paper in every choice but the target, the warm-up, the exact normaliser and the exact keys', () => {
    const [paper, ours] = [paperPolicy(), learnedPolicy()];
    const same = (Object.keys(paper) as (keyof ThresholdPolicy)[]).filter(
      (key) => JSON.stringify(paper[key]) === JSON.stringify(ours[key]),
    );
    expect(same.sort()).toEqual(['keys', 'normaliser', 'target', 'warmup']);
    expect(ours).toMatchObject({ axis: 'length', exponent: { kind: 'fixed', beta: -1 }, guard: true });
  });

  it('learns nothing for uniform and probability', () => {
    for (const policy of [uniformPolicy({ c: 0.3 }), probabilityPolicy({ p: 1e-4 })]) {
      expect(policy).toMatchObject({ warmup: 0, shareGroup: true, keepNewest: true });
      expect(isLearned(policy)).toBe(false);
    }
    expect(isLearned(paperPolicy())).toBe(true);
  });

  it('is dense exactly when the parameter is 0', () => {
    const mass = (epsilon: number) =>
      validatePolicy({ ...learnedPolicy(), target: { kind: 'mass', epsilon } });
    const dense = [
      paperPolicy({ tau: 0 }),
      learnedPolicy({ tau: 0 }),
      uniformPolicy({ c: 0 }),
      probabilityPolicy({ p: 0 }),
      mass(0),
    ];
    const sifted = [
      paperPolicy({ tau: 1e-9 }),
      uniformPolicy({ c: 1e-9 }),
      probabilityPolicy({ p: 1e-9 }),
      mass(1e-9),
    ];
    expect(dense.map(isDense)).toEqual(dense.map(() => true));
    expect(sifted.map(isDense)).toEqual(sifted.map(() => false));
  });

  it('is frozen, and keeps no reference to what was given', () => {
    const target = { kind: 'quantile' as const, tau: 0.5 };
    const policy = validatePolicy({ ...learnedPolicy(), target });
    target.tau = 7;
    expect(policy.target).toEqual({ kind: 'quantile', tau: 0.5 });
    expect(() => Object.assign(policy, { warmup: 1 })).toThrow(TypeError);
    expect(() => Object.assign(policy.target, { tau: 1 })).toThrow(TypeError);
  });
});

describe('validation', () => {
  it.each<[string, () => unknown]>([
    ['tau', () => paperPolicy({ tau: 1 })],
    ['tau', () => learnedPolicy({ tau: -0.1 })],
    ['tau', () => learnedPolicy({ tau: NaN })],
    ['tau', () => learnedPolicy({ tau: '0.5' as unknown as number })],
    ['warmup', () => paperPolicy({ warmup: 1 })],
    ['warmup', () => paperPolicy({ warmup: 4097 })],
    ['warmup', () => paperPolicy({ warmup: 2.5 })],
    ['warmup', () => learnedPolicy({ warmup: 0 })],
    ['c', () => uniformPolicy({ c: -1 })],
    ['c', () => uniformPolicy({ c: Infinity })],
    ['p', () => probabilityPolicy({ p: 1 })],
    ['p', () => probabilityPolicy({ p: NaN })],
  ])('refuses a bad %s', (option, call) => {
    expect(call).toThrow(expect.objectContaining({ name: 'SiftError', code: 'INVALID_OPTION', option }));
  });

  it.each<[string, object]>([
    ['name', { name: '' }],
    ['target.kind', { target: { kind: 'median' } }],
    ['target.kind', { target: undefined }],
    ['epsilon', { target: { kind: 'mass', epsilon: 1 } }],
    ['axis', { axis: 'time' }],
    ['exponent.kind', { exponent: { kind: 'steep' } }],
    ['exponent.beta', { exponent: { kind: 'fixed', beta: 0.1 } }],
    ['exponent.beta', { exponent: { kind: 'fixed', beta: -Infinity } }],
    ['exponent.variance', { exponent: { kind: 'prior', beta: -1, variance: 0 } }],
    ['warmup', { exponent: { kind: 'prior', beta: -1, variance: 1 }, warmup: 2 }],
    ['refitEvery', { refitEvery: -1 }],
    ['refitEvery', { exponent: { kind: 'free' }, refitEvery: 1 }],
    ['guard', { guard: 1 }],
    ['shareGroup', { shareGroup: undefined }],
  ])('refuses a bad %s in a policy of one’s own', (option, change) => {
    const call = () => validatePolicy({ ...learnedPolicy(), ...change } as ThresholdPolicy);
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', option }));
  });

  it('accepts the ends of the ranges', () => {
    expect(paperPolicy({ warmup: 2 }).warmup).toBe(2);
    expect(paperPolicy({ warmup: 4096 }).warmup).toBe(4096);
    expect(learnedPolicy({ warmup: 1 }).warmup).toBe(1);
    expect(validatePolicy({ ...uniformPolicy({ c: 40 }), warmup: 8 }).warmup).toBe(8);
    expect(validatePolicy({ ...learnedPolicy(), refitEvery: 1 }).refitEvery).toBe(1);
  });
});
