import { describe, expect, test } from 'vitest';
import { SiftError } from './errors.ts';
import { resolvePolicy, resolveProgress, resolveSiftFrom, type SiftOptions } from './options.ts';
import { isDense, learnedPolicy, paperPolicy, presetPolicy, uniformPolicy } from './policy/index.ts';

function failure(options: unknown): SiftError {
  try {
    resolvePolicy(options as SiftOptions);
  } catch (error) {
    if (error instanceof SiftError) return error;
    throw error;
  }
  throw new Error('It did not fail.');
}

describe('resolvePolicy', () => {
  test('modes', () => {
    expect(resolvePolicy({})).toEqual(presetPolicy('balanced'));
    expect(resolvePolicy({ quality: 'exact' })).toSatisfy(isDense);
    expect(resolvePolicy({ quality: 'high' })).toEqual(presetPolicy('high'));
    expect(resolvePolicy({ mode: 'learned' })).toEqual(learnedPolicy());
    expect(resolvePolicy({ tau: 0.5 })).toEqual(learnedPolicy({ tau: 0.5 }));
    expect(resolvePolicy({ mode: 'paper' })).toEqual(paperPolicy());
    expect(resolvePolicy({ mode: 'paper', tau: 0.5, warmup: 10 })).toEqual(
      paperPolicy({ tau: 0.5, warmup: 10 }),
    );
    expect(resolvePolicy({ policy: uniformPolicy({ c: 1 }) })).toEqual(uniformPolicy({ c: 1 }));
    expect(resolvePolicy({ keys: 'shadow' })).toEqual(presetPolicy('balanced', 'shadow'));
    expect(resolvePolicy({ keys: 'shadow', quality: 'high' })).toMatchObject({
      keys: 'shadow',
      target: { c: 1.5 },
    });
    expect(resolvePolicy({ keys: 'exact', quality: 'high' })).toEqual(presetPolicy('high'));
  });

  test.each([
    [{ tau: 1 }, 'tau'],
    [{ tau: -0.1 }, 'tau'],
    [{ tau: '0.5' }, 'tau'],
    [{ tau: Number.NaN }, 'tau'],
    [{ warmup: 0 }, 'warmup'],
    [{ warmup: 2.5 }, 'warmup'],
    [{ mode: 'quick' }, 'mode'],
    [{ quality: 'best' }, 'quality'],
    [{ quality: 'high', tau: 0.5 }, 'tau'],
    [{ policy: uniformPolicy({ c: 1 }), quality: 'high' }, 'quality'],
    [{ window: 3 }, 'window'],
    [{ keys: 'some' }, 'keys'],
    [{ keys: 'shadow', quality: 'exact' }, 'keys'],
    [{ keys: 'shadow', mode: 'paper' }, 'mode'],
    [{ policy: uniformPolicy({ c: 1 }), keys: 'shadow' }, 'keys'],
    [{ policy: { ...learnedPolicy(), keys: 'shadow' } }, 'keys'],
    [{ policy: { ...uniformPolicy({ c: 1 }), keys: undefined } }, 'keys'],
    [{ policy: uniformPolicy({ c: 1 }), tau: 0.5 }, 'tau'],
    [{ policy: { name: 'mine' } }, 'target.kind'],
    [null, 'options'],
  ])('%o is refused by name', (options, option) => {
    const error = failure(options);
    expect(error.code).toBe('INVALID_OPTION');
    expect(error.option).toBe(option);
    expect(error.message).toContain(option);
    expect(error.allowed).toBeTruthy();
  });
});

describe('resolveSiftFrom', () => {
  test('measured unless given', () => {
    expect(resolveSiftFrom({})).toBe('auto');
    for (const siftFrom of ['auto', 0, 4096, Number.POSITIVE_INFINITY] as const) {
      expect(resolveSiftFrom({ siftFrom })).toBe(siftFrom);
      expect(resolvePolicy({ siftFrom })).toEqual(presetPolicy('balanced'));
    }
  });

  test.each([-1, 0.5, Number.NaN, '4096', null])('%s is refused', (siftFrom) => {
    expect(() => resolveSiftFrom({ siftFrom } as SiftOptions)).toThrow(/`siftFrom`.*'auto'/);
  });
});

describe('resolveProgress', () => {
  test('a function or nothing', () => {
    const onProgress = () => {};
    expect(resolveProgress({ onProgress })).toBe(onProgress);
    expect(resolveProgress({})).toBeUndefined();
    expect(() => resolveProgress({ onProgress: 'yes' as never })).toThrow(/`onProgress`.*"yes".*a function/);
  });
});
