import { describe, expect, test } from 'vitest';
import { checkNames, checkSignal } from './option-checks.ts';

const NAMES = ['quality', 'keys', 'warmup', 'onUnsupported', 'signal'];

describe('checkNames', () => {
  test('takes known names, also where they are undefined, and nothing at all', () => {
    checkNames({}, NAMES);
    checkNames({ quality: 1, signal: undefined }, NAMES);
  });

  test.each([
    ['Quality', 'quality'],
    ['qualtiy', 'quality'],
    ['warmUp', 'warmup'],
    ['onUnsuported', 'onUnsupported'],
    ['key', 'keys'],
    ['signals', 'signal'],
  ])('%s: did you mean %s', (name, meant) => {
    expect(() => checkNames({ [name]: 3 }, NAMES)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTION',
        option: name,
        value: 3,
        message: `Unknown option \`${name}\`; allowed: ${NAMES.join(', ')}. Did you mean \`${meant}\`?`,
      }),
    );
  });

  test.each(['foo', 'temperature', 'max_new_tokens', ''])('%s is like none of them', (name) => {
    expect(() => checkNames({ [name]: 3 }, NAMES)).toThrow(
      expect.objectContaining({ message: `Unknown option \`${name}\`; allowed: ${NAMES.join(', ')}.` }),
    );
  });

  test.each([null, 'fast', 3])('%s are no options', (options) => {
    expect(() => checkNames(options as never, NAMES)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', option: 'options', allowed: 'an object' }),
    );
  });
});

describe('checkSignal', () => {
  test('takes a signal of any realm, and none', () => {
    const { signal } = new AbortController();
    expect(checkSignal(signal)).toBe(signal);
    expect(checkSignal(undefined)).toBeUndefined();
  });

  test.each([null, true, {}, new AbortController()])('%s is none', (value) => {
    expect(() => checkSignal(value as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', option: 'signal', allowed: 'an AbortSignal' }),
    );
  });
});
