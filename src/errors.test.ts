import { describe, expect, it } from 'vitest';
import { invalidOption, SiftError } from './errors.ts';

describe('invalidOption', () => {
  it('names the option, the value and what is allowed', () => {
    const error = invalidOption('tau', 1.5, 'a number in [0, 1)');
    expect(error).toBeInstanceOf(SiftError);
    expect(error).toBeInstanceOf(Error);
    expect(error.code).toBe('INVALID_OPTION');
    expect(error.message).toBe('Invalid option `tau`: got 1.5; allowed: a number in [0, 1).');
    expect([error.option, error.value, error.allowed]).toEqual(['tau', 1.5, 'a number in [0, 1)']);
  });

  it.each([
    ['fast', '"fast"'],
    [undefined, 'undefined'],
    [null, 'null'],
    [5n, '5n'],
    [[1, 2, 3], 'Array of length 3'],
    [new Float32Array(7), 'Float32Array of length 7'],
    [{ a: 1 }, 'an object (a)'],
    [{}, 'an empty object'],
    [new Date(0), 'a Date'],
    [() => 1, 'a function'],
    [Symbol('s'), 'Symbol(s)'],
  ])('shows %s in a few words', (value, shown) => {
    expect(invalidOption('x', value, 'less').message).toContain(`got ${shown};`);
  });
});

describe('SiftError', () => {
  it('keeps the cause, and leaves out details that were not given', () => {
    const cause = new Error('lost');
    const error = new SiftError('DISPOSED', 'Disposed: create a new handle.', { cause });
    expect(error.cause).toBe(cause);
    expect(error.name).toBe('SiftError');
    expect(error.option).toBeUndefined();
    expect(new SiftError('NO_WEBGPU', 'no').cause).toBeUndefined();
  });
});

describe('SiftErrorCode', () => {
  const sources = Object.entries(
    import.meta.glob<string>('./**/*.ts', { query: '?raw', import: 'default', eager: true }),
  ).filter(([path]) => !path.endsWith('.test.ts'));
  const declared = sources.find(([path]) => path === './errors.ts')![1];
  const codes = [...declared.matchAll(/^ {2}\| '(\w+)'/gm)].map(([, code]) => code!);

  it('has codes', () => {
    expect(codes).toContain('DEVICE_LOST');
  });

  it.each(codes)('%s is explained, and thrown somewhere', (code) => {
    expect(declared).toContain(` * - \`${code}\``);
    const thrown = new RegExp(`SiftError\\(\\s*'${code}'`);
    expect(sources.some(([, text]) => thrown.test(text))).toBe(true);
  });
});
