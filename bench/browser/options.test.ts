import { describe, expect, test } from 'vitest';
import { readOptions } from './options.ts';

describe('the options of the whole-step benchmark', () => {
  test('lengths are prompts, or pasts that are given', () => {
    const options = readOptions(['--lengths', '512,32768p,2048x9', '--turns', '3'], true);
    if (!options || !('plans' in options)) throw new Error('not a run');
    expect(options.plans.map(({ model }) => model)).toEqual(['qwen3-0.6b', 'llama-3.2-1b']);
    expect(options.plans[0]!.lengths.map(({ context, past, turns }) => [context, past, turns])).toEqual([
      [512, false, 3],
      [32_768, true, 3],
      [2048, false, 9],
    ]);
  });

  test('names with commas are separated by semicolons', () => {
    const options = readOptions(['--variants', 'stock;default, stock cache'], false);
    if (!options || !('plans' in options)) throw new Error('not a run');
    expect(options.plans[0]!.lengths[0]!.variants).toEqual(['stock', 'default, stock cache']);
  });

  test('a value that is not allowed is named', () => {
    expect(() => readOptions(['--turns', '0'], false)).toThrow('--turns has "0"');
    expect(() => readOptions(['--lengths', '1k'], false)).toThrow('--lengths has "1k"');
    expect(() => readOptions(['--dtype', 'fp8'], false)).toThrow('--dtype is "fp8"');
  });

  test('files are rendered or taken in without a run', () => {
    expect(readOptions(['--render', 'a.json'], false)).toEqual({ render: 'a.json' });
    expect(readOptions(['--community', 'a.json'], false)).toEqual({ community: 'a.json' });
    expect(readOptions(['--help'], false)).toBeNull();
  });
});
