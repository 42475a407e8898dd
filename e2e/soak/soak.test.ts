import { expect, test } from 'vitest';
import { HEAP_SLACK, type Round, type SoakResult, violations } from './soak.ts';
import { ROUND_LENGTH, talkOf } from './talks.ts';

const round = (n: number): Round => ({
  soaked: 100 * n,
  heap: 1e7,
  buffers: { count: 14, bytes: 1000 },
  replaced: [],
  report: { size: 5000, conversations: 4 * n, steps: 100 * n, stockSteps: 0 },
  errors: [],
});
const result = (change: (rounds: Round[]) => void = () => {}): SoakResult => {
  const rounds = [1, 2, 3, 4, 5].map(round);
  change(rounds);
  return { gpu: '', conversations: 20, compared: 1, unlike: [], rounds, left: [], seconds: 1 };
};

test('a flat soak has nothing against it; the first round may hold less and more', () => {
  expect(violations(result())).toEqual([]);
  const first = result((rounds) => {
    rounds[0]!.buffers.count = 9;
    rounds[0]!.heap = 2e7;
  });
  expect(violations(first)).toEqual([]);
});

test.each<[string, (rounds: Round[]) => void]>([
  ['buffers', (rounds) => rounds[3]!.buffers.count++],
  ['bytes', (rounds) => (rounds[4]!.buffers.bytes *= 2)],
  ['the heap grew', (rounds) => (rounds[4]!.heap += HEAP_SLACK + 1)],
  ['the report grew', (rounds) => (rounds[4]!.report.size *= 2)],
  ['steps were left to the runtime', (rounds) => (rounds[4]!.report.stockSteps = 3)],
  ['replaced', (rounds) => rounds[2]!.replaced.push('queue.submit')],
  ['uncaptured', (rounds) => rounds[0]!.errors.push('uncaptured: out of memory')],
])('what grows or goes wrong is told: %s', (words, change) => {
  expect(violations(result(change)).join('\n')).toContain(words);
});

test('other tokens, things left behind, and too few rounds are told', () => {
  const found = violations({ ...result((rounds) => rounds.splice(2)), unlike: [7], left: ['queue.submit'] });
  expect(found).toEqual([
    'left behind: queue.submit',
    'conversation 7: other tokens than in a fresh page',
    '2 rounds are too few to tell',
  ]);
});

test('rounds have the same kinds of conversations with other text', () => {
  const text = Array.from({ length: 5000 }, (_, i) => i);
  const sizes = { prompt: 40, count: 8 };
  const shape = (n: number) => {
    const { turns, interruptAt } = talkOf(n, text, sizes);
    return { turns: turns.map(({ prompt, count }) => [prompt.length, count]), interruptAt };
  };
  for (let n = 0; n < ROUND_LENGTH; n++) {
    expect(shape(n + ROUND_LENGTH)).toEqual(shape(n));
    expect(talkOf(n + ROUND_LENGTH, text, sizes)).not.toEqual(talkOf(n, text, sizes));
  }
  expect(Array.from({ length: ROUND_LENGTH }, (_, n) => shape(n).interruptAt !== null)).toContain(true);
});
