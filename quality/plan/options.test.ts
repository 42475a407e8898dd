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

test('conversations take policies that learn, whose first steps do not count', () => {
  expect(
    readOptions(['--conversations', 'copy', '--policy', 'paper:0.5', '--warmup', '0', '--steps', '8']),
  ).toMatchObject({ conversations: ['copy'], long: 4096 });
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
  [['--minutes', '0'], 'above 0'],
  [['--conversations', 'haiku'], 'all, or some of'],
  [['--shard', '3/2'], 'I/N'],
  [['--shard', 'all'], 'I/N'],
])('%j is refused, and it says what is wrong', (args, message) => {
  expect(() => readOptions(args)).toThrow(message);
});
