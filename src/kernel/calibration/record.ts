import type { Calibration, Choice } from './calibrate.ts';
import { clearlyLonger, crossover, type LengthTimes, sampleOf } from './crossover.ts';

/** What is known of a calibration over several loads of an origin's pages and workers. */
export interface CalibrationRecord {
  /** What every load uses. */
  choice: Choice;
  /** The times that speak for or against it: of the last steady measurement, or of all unsteady ones. */
  times: LengthTimes[];
  /** How many measurements the times are from. */
  loads: number;
  /** Whether the next load need not measure. */
  settled: boolean;
  /** When it was measured last, as `Date.now()` has it. */
  date: number;
}

/** Milliseconds after which a record is measured again, because drivers and browsers change. */
const MAX_AGE = 30 * 24 * 3600 * 1000;

/** A record is settled after so many measurements, however unsteady they were. */
const MAX_LOADS = 4;

/** Whether a record is to be used without measuring. */
export function isFinal(record: CalibrationRecord, now: number): boolean {
  return record.settled && isFresh(record, now);
}

/** A clock that was set back must not make a record last for ever. */
function isFresh({ date }: CalibrationRecord, now: number): boolean {
  return Math.abs(now - date) < MAX_AGE;
}

/**
 * The record after one more measurement, of which docs/crossover.md gives the rule. Its choice stays unless the
 * times clearly speak against it, because another choice gives another text.
 *
 * @param record what was known; undefined: nothing
 * @param measured made with the numbers of workgroups of the record as the usual ones
 * @param now as `Date.now()` has it
 */
export function revise(
  record: CalibrationRecord | undefined,
  measured: Calibration,
  now: number,
): CalibrationRecord {
  const { times: latest, steady, ...choice } = measured;
  if (!record) return { choice, times: latest, loads: 1, settled: steady, date: now };
  const { workgroups, siftWorkgroups } = choice;
  const sameKernels =
    workgroups === record.choice.workgroups && siftWorkgroups === record.choice.siftWorkgroups;
  // Times of a steady measurement are better than those of an unsteady one. Times that are old, or of other
  // numbers of workgroups, are of something else.
  const adds = !record.settled && isFresh(record, now);
  const times = adds && sameKernels && !steady ? merge(record.times, latest) : latest;
  const loads = adds ? record.loads + 1 : 1;
  const samples = times.map((each) => sampleOf(each).sample);
  const siftFrom = samples.length > 0 ? crossover(samples) : choice.siftFrom;
  const kept = { ...record.choice, workgroups, siftWorkgroups };
  return {
    choice: contradicts(times, record.choice.siftFrom, siftFrom) ? { ...choice, siftFrom, samples } : kept,
    times,
    loads,
    settled: steady || loads >= MAX_LOADS,
    date: now,
  };
}

/**
 * Whether times clearly speak for another crossover: if at a length that was measured, and at which the two
 * differ, the present one takes the kind of step that is clearly slower.
 */
function contradicts(times: readonly LengthTimes[], present: number, other: number): boolean {
  return times.some(({ length, dense, sift }) => {
    // One time of a kind can be anything.
    if (dense.length < 2 || length < Math.min(present, other) || length >= Math.max(present, other))
      return false;
    return present <= length ? clearlyLonger(sift, dense) : clearlyLonger(dense, sift);
  });
}

/** All times of both, in ascending order of their lengths. */
function merge(a: readonly LengthTimes[], b: readonly LengthTimes[]): LengthTimes[] {
  const lengths = [...new Set([...a, ...b].map(({ length }) => length))].sort((x, y) => x - y);
  return lengths.map((length) => {
    const same = [...a, ...b].filter((each) => each.length === length);
    return {
      length,
      dense: same.flatMap(({ dense }) => dense),
      sift: same.flatMap(({ sift }) => sift),
    };
  });
}

/** A value that was stored, if it is a record that can be used. */
export function asRecord(value: unknown): CalibrationRecord | undefined {
  const record = value as CalibrationRecord;
  try {
    const { choice, times, loads, date } = record;
    const { siftFrom, workgroups, siftWorkgroups, samples, milliseconds } = choice;
    // IndexedDB keeps anything, and text compares like a number.
    const isNumber = (value: unknown) => typeof value === 'number';
    const usable =
      [siftFrom, milliseconds, date].every(isNumber) &&
      [workgroups, siftWorkgroups, loads].every((count) => Number.isInteger(count) && count > 0) &&
      [siftFrom, milliseconds, date].every((number) => number >= 0) &&
      samples.every(({ length, dense, sift }) =>
        [length, dense, sift].every((number) => isNumber(number) && number > 0),
      ) &&
      times.every(
        ({ length, dense, sift }) =>
          isNumber(length) &&
          length > 0 &&
          [dense, sift].every((list) => list.length > 0 && list.every((time) => isNumber(time) && time > 0)),
      );
    return usable ? record : undefined;
  } catch {
    // It is something else altogether.
    return undefined;
  }
}
