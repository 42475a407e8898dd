// What users and other scripts hand in, drawn at random: each is taken as it is meant, or refused with a SiftError that names the option.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SiftError } from './errors.ts';
import { asRecord, type CalibrationRecord, isFinal, revise } from './kernel/calibration/record.ts';
import { planSplits } from './kernel/step/split-plan.ts';
import { DEFAULT_TUNING } from './kernel/step/tuning.ts';
import {
  resolveCache,
  resolvePolicy,
  resolveProgress,
  resolveSiftFrom,
  type SiftOptions,
} from './options.ts';
import { learnedPolicy, paperPolicy, planStep, presetPolicy, validatePolicy } from './policy/index.ts';

const RUNS = { numRuns: 500 };

/** Anything that JavaScript has, objects without a prototype and arrays of an odd kind among them. */
const anything = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withTypedArray: true,
    withNullPrototype: true,
  }),
  fc.constantFrom<unknown>(
    Symbol('x'),
    () => 1,
    Object.assign([], { constructor: undefined }),
    -0,
    Number.NaN,
  ),
);

/** Runs something that may throw a SiftError of a code, and nothing else. */
function refusesClearly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    expect(error).toBeInstanceOf(SiftError);
    const { code, option, message } = error as SiftError;
    expect(code).toBe('INVALID_OPTION');
    expect(typeof option).toBe('string');
    expect(message.length).toBeLessThan(2_000);
    return undefined;
  }
}

/** A policy of the family, with some fields replaced by anything. */
const policies = fc
  .tuple(
    fc.constantFrom(presetPolicy('balanced'), presetPolicy('fast', 'shadow'), learnedPolicy(), paperPolicy()),
    fc.dictionary(
      fc.constantFrom(
        ...['name', 'target', 'axis', 'exponent', 'warmup', 'dropped', 'normaliser', 'keys', 'shareGroup'],
        ...['keepNewest', 'keepLargest', 'refitEvery', 'guard', 'other'],
      ),
      fc.oneof(
        anything,
        fc.record({
          kind: fc.constantFrom('quantile', 'mass', 'uniform', 'probability'),
          tau: fc.double(),
          c: fc.double(),
        }),
        fc.record({
          kind: fc.constantFrom('free', 'fixed', 'prior'),
          beta: fc.double(),
          variance: fc.double(),
        }),
        fc.integer({ min: -2, max: 5000 }),
      ),
      { maxKeys: 3 },
    ),
  )
  .map(([policy, changes]) => ({ ...policy, ...changes }));

describe('options', () => {
  test('of any kind', () => {
    fc.assert(
      fc.property(anything, (options) => {
        refusesClearly(() => resolvePolicy(options as SiftOptions));
      }),
      RUNS,
    );
  });

  test('by their names', () => {
    const names = ['quality', 'keys', 'mode', 'tau', 'warmup', 'policy', 'cache', 'siftFrom', 'onProgress'];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), anything, { maxKeys: 4 }), (given) => {
        const options = given as SiftOptions;
        for (const resolve of [resolvePolicy, resolveCache, resolveSiftFrom, resolveProgress])
          refusesClearly(() => resolve(options));
      }),
      RUNS,
    );
  });
});

test('policies: what is taken can be planned at any step and length', () => {
  fc.assert(
    fc.property(policies, fc.nat(), fc.nat(), (given, step, length) => {
      const policy = refusesClearly(() => validatePolicy(given as never));
      if (!policy) return;
      expect(validatePolicy(policy)).toEqual(policy);
      const plan = planStep(policy, step + 1, length + 1);
      expect(plan.windowIndex).toBeLessThan(Math.max(1, policy.warmup));
    }),
    RUNS,
  );
  fc.assert(
    fc.property(anything, (given) => {
      refusesClearly(() => validatePolicy(given as never));
    }),
    RUNS,
  );
});

describe('calibration records', () => {
  const record: CalibrationRecord = {
    choice: {
      workgroups: 4,
      siftWorkgroups: 4,
      siftFrom: 2048,
      samples: [{ length: 1024, dense: 10, sift: 12 }],
      milliseconds: 3,
    },
    times: [{ length: 1024, dense: [10, 11], sift: [12, 12] }],
    loads: 1,
    settled: true,
    date: 1,
  };

  /** A record with one value, however deep, replaced by anything. */
  const forged = fc.tuple(fc.nat(), anything).map(([at, value]) => {
    const copy = structuredClone(record) as unknown as Record<string, unknown>;
    const places: [Record<string, unknown>, string][] = [];
    const walk = (object: Record<string, unknown>) => {
      for (const [name, inner] of Object.entries(object)) {
        places.push([object, name]);
        if (typeof inner === 'object') walk(inner as Record<string, unknown>);
      }
    };
    walk(copy);
    const [object, name] = places[at % places.length]!;
    object[name] = value;
    return copy;
  });

  test('that were forged are dropped, or change nothing but the speed', () => {
    fc.assert(
      fc.property(fc.oneof(anything, forged), fc.integer({ min: 1, max: 2 ** 31 }), (value, length) => {
        const known = asRecord(value);
        if (!known) return;
        isFinal(known, 5);
        const { choice } = revise(known, { ...record.choice, times: record.times, steady: false }, 10);
        for (const { workgroups, siftWorkgroups, siftFrom } of [known.choice, choice]) {
          expect(typeof siftFrom).toBe('number');
          expect(siftFrom).toBeGreaterThanOrEqual(0);
          const shape = { queryHeads: 32, kvHeads: 8, headSize: 64, dtype: 'f16' } as const;
          const tuning = { ...DEFAULT_TUNING, workgroups, siftWorkgroups };
          for (const onePass of [false, true]) {
            const { splits, chunk } = planSplits(shape, 1, length, tuning, onePass);
            expect(splits).toBeGreaterThanOrEqual(1);
            expect(splits).toBeLessThanOrEqual(256);
            expect(splits * chunk).toBeGreaterThanOrEqual(length);
            expect((splits - 1) * chunk).toBeLessThan(length);
          }
        }
      }),
      RUNS,
    );
  });

  test('are kept as they are otherwise', () => {
    expect(asRecord(record)).toBe(record);
  });
});
