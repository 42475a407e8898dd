import { describe, expect, test } from 'vitest';
import { generationBound, planCapacity } from './capacity.ts';

describe('planCapacity', () => {
  test('takes a bound of the same order, rounded up', () => {
    expect(planCapacity(1000, 1400, 1e6)).toBe(1408);
    expect(planCapacity(1000, 1000, 1e6)).toBe(1024);
  });

  test('does not allocate for a bound that is only a safety limit', () => {
    expect(planCapacity(1000, 100_000, 1e6)).toBe(1024);
    expect(planCapacity(1024, 100_000, 1e6)).toBe(2048);
  });

  test('doubles where no bound is known, or the known one was passed', () => {
    expect(planCapacity(1, undefined, 1e6)).toBe(256);
    expect(planCapacity(5000, undefined, 1e6)).toBe(8192);
    expect(planCapacity(5000, 4000, 1e6)).toBe(8192);
  });

  test('stays within the limit, and says so when it cannot', () => {
    expect(planCapacity(5000, undefined, 6000)).toBe(6000);
    expect(planCapacity(6001, undefined, 6000)).toBeUndefined();
  });
});

describe('generationBound', () => {
  const inputs = { dims: [1, 100] };

  test('is the prompt and the new tokens', () => {
    expect(generationBound({}, { inputs, max_new_tokens: 50 })).toBe(150);
    expect(generationBound({}, { input_ids: inputs, generation_config: { max_new_tokens: 7 } })).toBe(107);
    expect(generationBound({ generation_config: { max_new_tokens: 9 } }, { inputs })).toBe(109);
  });

  test('is max_length where no number of new tokens is given, and unknown otherwise', () => {
    expect(generationBound({}, { inputs, max_length: 300 })).toBe(300);
    expect(generationBound({}, { max_new_tokens: 50 })).toBeUndefined();
    expect(generationBound({}, undefined)).toBeUndefined();
  });
});
