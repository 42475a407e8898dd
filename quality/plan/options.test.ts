import { expect, test } from 'vitest';
import { readOptions } from './options.ts';

test('what is not given has a default that runs from a fresh clone', () => {
  expect(readOptions([])).toMatchObject({
    ...{ folder: 'models/tiny', hubId: null, half: 'all', node: false },
    ...{ prompt: 1024, steps: 256, warmup: 64, sequences: 2 },
  });
  expect(readOptions(['--help'])).toBeNull();
  expect(readOptions(['--model', 'owner/name'])).toMatchObject({ folder: null, hubId: 'owner/name' });
});

test.each([
  [['--model', 'nowhere'], 'no folder'],
  [['--model', 'owner/name', '--node'], 'no folder'],
  [['--text', 'missing.txt'], '--text'],
  [['--half', 'third'], 'first, second or all'],
  [['--steps', '1.5'], 'whole number'],
  [['--steps', '66'], '--warmup'],
  [['--policy', 'best:1'], 'no kind'],
  [['--policy', 'paper:0.5', '--warmup', '16'], 'learns in 64 steps'],
  [['--sequences', '0'], '--tasks'],
  [['--shard', '3/2'], 'I/N'],
  [['--shard', 'all'], 'I/N'],
])('%j is refused, and it says what is wrong', (args, message) => {
  expect(() => readOptions(args)).toThrow(message);
});
