import { describe, expect, test } from 'vitest';
import { presetPolicy } from '../../policy/index.ts';
import type { SiftReport } from '../../report.ts';
import { buildReport, stockCacheReport } from './report.ts';
import { summarise } from './summary.ts';

const nothing = await buildReport({
  state: 'on',
  lost: undefined,
  policy: presetPolicy('balanced'),
  runtime: { name: 'test', version: '1', tested: true },
  conversation: undefined,
  conversations: 0,
  notes: [],
  kvCache: stockCacheReport('asked for'),
  crossover: [],
});
const speed = { millisecondsPerToken: 14.2, tokensPerSecond: 70.4, steps: 64 };
const sentence = (changes: Partial<SiftReport>) => summarise({ ...nothing, ...changes }).sentence;
const short = { reason: 'shorter than 4,096 keys, from which sifting is faster on this device', count: 64 };

describe('the sentence', () => {
  test('before the first step', () => {
    expect(sentence({})).toBe('Sift is on and has seen no decode step yet.');
  });

  test('where sift cannot work', () => {
    const reasons = [{ reason: 'NO_WEBGPU: There is no WebGPU here.', count: 1 }];
    expect(sentence({ enabled: false, reasons })).toBe('Sift is off: NO_WEBGPU: There is no WebGPU here.');
  });

  test('steps that sifted', () => {
    const steps = { sifted: 57, dense: 0 };
    expect(sentence({ steps, keptGroup: 0.123, speed })).toBe(
      'Sift is on: 57 steps of 57 sifted, which read 12% of the rows of V and all of K; 14 ms a token, 70 tokens a second.',
    );
    const slow = { millisecondsPerToken: 1250, tokensPerSecond: 0.8, steps: 5 };
    expect(
      sentence({
        enabled: false,
        steps: { sifted: 1, dense: 2 },
        stockSteps: 3,
        speed: slow,
        keptGroup: 0.999,
      }),
    ).toBe(
      'Sift is off: 1 step of 6 sifted, which read 99% of the rows of V and all of K; 1250 ms a token, 0.8 tokens a second.',
    );
  });

  test('with a shadow of K', () => {
    const policy = { ...nothing.policy, keys: 'shadow' as const };
    const bytes = { ...nothing.bytes, keysRead: 5, keysSaved: 995 };
    expect(sentence({ steps: { sifted: 2, dense: 0 }, keptGroup: 0.2, policy, bytes, speed })).toContain(
      'read 20% of the rows of V and under 1% of the bytes of K',
    );
  });

  test('steps that did not, with the reason that is the most frequent', () => {
    const reasons = [{ reason: 'warm-up', count: 2 }, short];
    expect(sentence({ steps: { sifted: 0, dense: 66 }, reasons, speed })).toBe(
      `Sift is on, and none of 66 steps sifted (${short.reason}); 14 ms a token, 70 tokens a second.`,
    );
  });

  test('a device that is gone', () => {
    expect(sentence({ lost: 'driver reset' })).toBe('The GPU device is gone (driver reset).');
  });
});
