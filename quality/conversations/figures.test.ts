import { expect, test } from 'vitest';
import { conversationRow, longestRun } from './figures.ts';
import { parseConversations, writeConversations } from './results.ts';

test('the longest run above a bound, and where it begins', () => {
  expect(longestRun([0, 2, 2, 0, 2, 2, 2, 1], 1)).toEqual({ length: 3, at: 4 });
  expect(longestRun([2, 2], 1)).toEqual({ length: 2, at: 0 });
  expect(longestRun([0, 1], 1)).toEqual({ length: 0, at: 0 });
});

const CONVERSATION = { name: 'copy', prompt: 4, steps: 6, breakAt: 1 };
const FIGURES = {
  nll: [0, 0, 0, 0, 0, 0],
  kl: [9, 9, 0.1, 0.5, 0.5, 0.1],
  same: [0, 0, 1, 1, 0, 1],
  sift: null,
};

test('steps that learn do not count; runs are of steps farther than ten times the usual', () => {
  const row = conversationRow(CONVERSATION, 'learned:0.5,warmup=2', FIGURES, 2, 0.03);
  expect(row).toMatchObject({ ppl: 1, klMax: 0.5, top1: 0.75, skipped: 2, above: 0.5 });
  expect(row.klMean).toBeCloseTo(0.3);
  expect(row.run).toEqual({ length: 2, step: 4 });
  expect(row.course).toHaveLength(4);
});

test('without a usual mean nothing is said of runs; a results file is read as it was written', () => {
  const row = conversationRow(CONVERSATION, 'exact', FIGURES, 0, null);
  expect([row.run, row.above]).toEqual([null, null]);
  const results = {
    ...{ model: 'tiny', dtype: 'q4', machine: 'node' as const, gpu: 'software' },
    texts: { prose: 'a', code: 'b', foreign: 'c' },
    rows: [row],
  };
  const text = writeConversations(results);
  expect(text.split('\n')).toHaveLength(4);
  expect(parseConversations(text)).toMatchObject({ rows: [{ conversation: 'copy', klMax: 9 }] });
});
