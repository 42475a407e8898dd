import { afterEach, expect, test, vi } from 'vitest';
import { type EnableProgress, EnablingProgress } from './progress.ts';

afterEach(() => {
  performance.clearMeasures();
  vi.restoreAllMocks();
});

test('the caller is told each stage as it begins, and the timeline has each when it ends', () => {
  const told: EnableProgress[] = [];
  const progress = new EnablingProgress((each) => told.push(each));
  for (const stage of ['observing', 'compiling', 'comparing', 'calibrating', 'done'] as const)
    progress.begin(stage);
  progress.end();
  expect(told.map(({ stage }) => stage)).toEqual([
    'observing',
    'compiling',
    'comparing',
    'calibrating',
    'done',
  ]);
  const fractions = told.map(({ fraction }) => fraction);
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  expect([fractions[0], fractions.at(-1)]).toEqual([0, 1]);
  expect(performance.getEntriesByType('measure').map(({ name }) => name)).toEqual([
    'sift-attention: observing',
    'sift-attention: compiling',
    'sift-attention: comparing',
    'sift-attention: calibrating',
  ]);
});

test('an error of the caller does not end the enabling, and is not hidden', () => {
  const later: (() => void)[] = [];
  vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((work) => void later.push(work));
  const progress = new EnablingProgress(() => {
    throw new Error('of the caller');
  });
  progress.begin('observing');
  expect(later).toHaveLength(1);
  expect(later[0]).toThrow('of the caller');
});
