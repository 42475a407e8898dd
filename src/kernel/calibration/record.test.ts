import { describe, expect, test } from 'vitest';
import type { Calibration } from './calibrate.ts';
import { crossover, type LengthTimes, sampleOf } from './crossover.ts';
import { asRecord, type CalibrationRecord, isFinal, revise } from './record.ts';

const DAY = 24 * 3600 * 1000;
const NOW = Date.UTC(2026, 10, 1);

/** A measurement of these times. */
function measured(times: LengthTimes[], changes: Partial<Calibration> = {}): Calibration {
  const samples = times.map((each) => sampleOf(each));
  return {
    siftFrom: crossover(samples.map(({ sample }) => sample)),
    workgroups: 64,
    siftWorkgroups: 32,
    samples: samples.map(({ sample }) => sample),
    times,
    milliseconds: 100,
    steady: samples.every(({ steady }) => steady),
    ...changes,
  };
}

/** One length alone, as where there was no time for more. */
const short = (dense: number[], sift: number[]): LengthTimes[] => [{ length: 1024, dense, sift }];
const FASTER = short([30, 31, 32], [20, 21, 22]);
const SLOWER = short([20, 21, 22], [30, 31, 32]);
const NEVER = Number.POSITIVE_INFINITY;

/** What loads one after another make of what they measure. */
function loads(...all: Calibration[]): CalibrationRecord {
  let record: CalibrationRecord | undefined;
  for (const each of all) record = revise(record, each, NOW);
  return record!;
}

describe('the record of a calibration', () => {
  test('is final after one steady measurement, for thirty days', () => {
    const record = loads(measured(FASTER));
    expect(record).toMatchObject({ settled: true, loads: 1, choice: { siftFrom: 0, workgroups: 64 } });
    expect(isFinal(record, NOW + 29 * DAY)).toBe(true);
    expect(isFinal(record, NOW + 31 * DAY)).toBe(false);
    // A clock that was ahead when it was stored.
    expect(isFinal(record, NOW - 31 * DAY)).toBe(false);
  });

  test('after an unsteady one it is measured again; what does not clearly speak against it leaves it', () => {
    const first = measured(short([30, 60], [25, 28]));
    const second = measured(short([29, 70], [31, 80]));
    expect([first.steady, second.steady]).toEqual([false, false]);
    // Alone they would choose differently, which was seen on busy machines.
    expect([first.siftFrom, second.siftFrom]).toEqual([0, NEVER]);
    const record = loads(first, second);
    expect(record).toMatchObject({ settled: false, loads: 2 });
    expect(record.choice).toEqual(loads(first).choice);
    expect(record.times).toEqual(short([30, 60, 29, 70], [25, 28, 31, 80]));
  });

  test('times of all unsteady loads that clearly speak against it change it', () => {
    // One time of each kind, then a load in which sifting is slower by every measure.
    const look = measured(short([30], [26]), { steady: false });
    const busy = measured(short([20, 21, 70], [30, 31, 90]));
    expect(loads(look).choice.siftFrom).toBe(0);
    expect(loads(look, look).choice.siftFrom).toBe(0);
    const record = loads(look, busy);
    expect(record.choice.siftFrom).toBe(NEVER);
    expect(record.choice.samples).toEqual(record.times.map((each) => sampleOf(each).sample));
    expect(loads(look, busy, busy).choice).toEqual(record.choice);
  });

  test('one time of a kind changes nothing', () => {
    const look = measured(short([20], [30]), { steady: false });
    expect(
      loads(measured(short([30, 60], [20, 21])), measured(short([30, 31], [20, 60]))).choice.siftFrom,
    ).toBe(0);
    const other = { ...look, times: [{ length: 4096, dense: [20], sift: [40] }] };
    expect(loads(measured(short([30, 60], [20, 21])), other).choice.siftFrom).toBe(0);
  });

  test('a steady measurement counts alone, and settles it', () => {
    const busy = measured(short([30, 60], [25, 28]));
    const kept = loads(busy, measured(short([20, 21, 22], [21, 22, 22])));
    expect(kept).toMatchObject({ settled: true, choice: { siftFrom: 0 } });
    const changed = loads(busy, measured(SLOWER));
    expect(changed).toMatchObject({ settled: true, times: SLOWER, choice: { siftFrom: NEVER } });
  });

  test('four unsteady loads settle it', () => {
    const busy = measured(short([30, 60], [25, 60]));
    expect(loads(busy, busy, busy).settled).toBe(false);
    const record = loads(busy, busy, busy, busy);
    expect(record).toMatchObject({ settled: true, loads: 4 });
    expect(isFinal(record, NOW)).toBe(true);
  });

  test('an old one keeps its choice unless a new measurement clearly speaks against it', () => {
    const record = loads(measured(FASTER));
    const later = NOW + 40 * DAY;
    const near = revise(record, measured(short([20, 21, 22], [21, 22, 22])), later);
    expect(near).toMatchObject({ date: later, settled: true, choice: { siftFrom: 0 } });
    expect(near.choice.samples).toBe(record.choice.samples);
    expect(revise(record, measured(SLOWER), later).choice.siftFrom).toBe(NEVER);
    // An unsteady one makes it provisional again. Times of before do not count.
    const busy = revise(record, measured(short([20, 60], [20, 60])), later);
    expect(busy).toMatchObject({ settled: false, loads: 1, times: short([20, 60], [20, 60]) });
  });

  test('crossovers between which nothing was measured are the same, however far they are apart', () => {
    const at = (length: number, dense: number, sift: number): LengthTimes => ({
      length,
      dense: [dense, dense],
      sift: [sift, sift],
    });
    const first = measured([at(65_536, 99, 102), at(131_072, 190, 194)], { siftFrom: 439_625 });
    const second = measured([at(65_536, 99, 103), at(131_072, 190, 199)]);
    expect(second.siftFrom).toBe(NEVER);
    expect(revise(loads(first), second, NOW + 40 * DAY).choice.siftFrom).toBe(439_625);
  });

  test('only lengths at which the choices differ count', () => {
    const at = (length: number, dense: number, sift: number): LengthTimes => ({
      length,
      dense: [dense, dense],
      sift: [sift, sift],
    });
    // An H200 at a low clock, and at its full one (docs/lab/crossover.md).
    const low = measured([at(16_384, 27, 30), at(32_768, 44, 42)]);
    const full = measured([at(16_384, 15, 17), at(32_768, 33, 26)]);
    expect(low.siftFrom).toBeGreaterThan(full.siftFrom);
    expect(revise(loads(low), full, NOW + 40 * DAY).choice.siftFrom).toBe(low.siftFrom);
    const wide = measured([at(16_384, 20, 16), at(32_768, 33, 26)]);
    expect(revise(loads(low), wide, NOW + 40 * DAY).choice.siftFrom).toBe(wide.siftFrom);
  });

  test('other numbers of workgroups make earlier times worthless', () => {
    const busy = measured(short([30, 60], [25, 28]));
    const other = measured(short([29, 70], [31, 80]), { workgroups: 128 });
    const record = loads(busy, other);
    expect(record.times).toEqual(other.times);
    expect(record.choice).toMatchObject({ siftFrom: 0, workgroups: 128, siftWorkgroups: 32 });
  });

  test('a policy that keeps every row has no times, and stays as it is', () => {
    const dense = { ...measured([]), siftFrom: 0 };
    const record = loads(dense);
    expect(record).toMatchObject({ settled: true, choice: { siftFrom: 0 } });
    expect(revise(record, dense, NOW + 40 * DAY).choice.siftFrom).toBe(0);
  });
});

describe('what was stored', () => {
  const record = loads(measured(FASTER));

  test('is taken if it is a record', () => {
    expect(asRecord(record)).toBe(record);
    expect(asRecord(loads({ ...measured([]), siftFrom: NEVER }))).toBeDefined();
  });

  test.each([
    undefined,
    null,
    7,
    'soon',
    {},
    { ...record, choice: null },
    { ...record, date: 'yesterday' },
    { ...record, loads: 0 },
    { ...record, times: undefined },
    { ...record, times: short([], []) },
    { ...record, times: [{ length: 1024, dense: [1], sift: ['2 ms'] }] },
    { ...record, choice: { ...record.choice, siftFrom: Number.NaN } },
    { ...record, choice: { ...record.choice, siftFrom: -1 } },
    { ...record, choice: { ...record.choice, siftWorkgroups: 1.5 } },
    { ...record, choice: { ...record.choice, samples: 'none' } },
  ])('is not taken otherwise: %j', (value) => {
    expect(asRecord(value)).toBeUndefined();
  });
});
