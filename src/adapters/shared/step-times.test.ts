import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { StepTimes } from './step-times.ts';

let now = 0;
beforeEach(() => {
  now = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => vi.restoreAllMocks());

/** A step that begins after a while and takes a while. */
function step(times: StepTimes, pause: number, takes: number): void {
  now += pause;
  times.begin();
  now += takes;
  times.end();
}

test('a step counts from the end of the one before, the first from its beginning', () => {
  const times = new StepTimes();
  expect([times.steps, times.median]).toEqual([0, null]);
  step(times, 500, 10);
  expect([times.steps, times.median]).toEqual([1, 10]);
  step(times, 5, 10);
  step(times, 6, 10);
  expect([times.steps, times.median]).toEqual([3, 15]);
});

test('the newest 64 count', () => {
  const times = new StepTimes();
  for (let i = 0; i < 40; i++) step(times, 0, 100);
  for (let i = 0; i < 64; i++) step(times, 0, 7);
  expect([times.steps, times.median]).toEqual([64, 7]);
});

test('another generation begins anew', () => {
  const times = new StepTimes();
  step(times, 0, 100);
  times.reset();
  expect([times.steps, times.median]).toEqual([0, null]);
  step(times, 9999, 3);
  expect([times.steps, times.median]).toEqual([1, 3]);
});
