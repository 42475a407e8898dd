import { describe, expect, test } from 'vitest';
import { type CrossoverSample, clearlyApart, clearlyLonger, crossover, sampleOf } from './crossover.ts';

/** Samples on two lines, each given by microseconds at 0 keys and microseconds for each thousand keys. */
function lines(dense: [number, number], sift: [number, number], lengths: number[]): CrossoverSample[] {
  const at = ([base, slope]: [number, number], length: number) => base + (slope * length) / 1000;
  return lengths.map((length) => ({ length, dense: at(dense, length), sift: at(sift, length) }));
}
const LENGTHS = [1024, 4096, 16384, 65536];

describe('crossover', () => {
  test('lies where the lines cross, sifting being 2% faster there', () => {
    // With s thousand keys: 20 + s = 0.98 * (10 + 2 s), so that s = 10.2 / 0.96.
    expect(crossover(lines([10, 2], [20, 1], LENGTHS))).toBeCloseTo(10625, -1);
  });

  test('0 where sifting is faster at every length, Infinity where at none', () => {
    expect(crossover(lines([10, 2], [8, 1], LENGTHS))).toBe(0);
    expect(crossover(lines([10, 1], [20, 1], LENGTHS))).toBe(Number.POSITIVE_INFINITY);
    expect(crossover(lines([10, 1], [8, 2], LENGTHS))).toBe(Number.POSITIVE_INFINITY);
  });

  test('below the shortest length the line goes on', () => {
    // With s thousand keys: 2 + s = 0.98 * (1 + 3 s), so that s = 0.526.
    expect(crossover(lines([1, 3], [2, 1], LENGTHS))).toBeCloseTo(526, -1);
  });

  test('below a shortest length that is long nothing is known', () => {
    // An H100 at head size 64, in a run that had no time for more. At 16,384 keys it takes 15.4 and 18.4 µs.
    const h100 = [
      { length: 32768, dense: 33.1, sift: 25.4 },
      { length: 65536, dense: 55.7, sift: 43.3 },
    ];
    expect(crossover(h100)).toBe(32768);
    expect(crossover(h100.slice(0, 1))).toBe(32768);
  });

  test('beyond the longest length the line is believed up to four times it', () => {
    expect(crossover(lines([10, 2], [100, 1], LENGTHS))).toBeCloseTo(93958, -1);
    expect(crossover(lines([10, 2], [300, 1], LENGTHS))).toBe(Number.POSITIVE_INFINITY);
  });

  test('equal times are dense: noise of a per cent decides nothing', () => {
    const near = LENGTHS.map((length, i) => ({
      length,
      dense: 100 + i,
      sift: (100 + i) * (i % 2 ? 0.99 : 1.01),
    }));
    expect(crossover(near)).toBe(Number.POSITIVE_INFINITY);
  });

  test('the time of the launches does not bend the line of the long ones', () => {
    // An H200 at head size 64 (bench/results/h200.md), where sifting was not faster up to 128K keys.
    const h200 = [
      { length: 1024, dense: 10.7, sift: 20.0 },
      { length: 8192, dense: 14.4, sift: 24.9 },
      { length: 32768, dense: 30.1, sift: 39.1 },
    ];
    expect(crossover(h200)).toBe(Number.POSITIVE_INFINITY);
    // At head size 128 sifting was faster at 131,072 keys (132 µs against 144). At 8,192 keys the card ran
    // slower, which only makes the crossover earlier.
    const wide = [
      { length: 8192, dense: 41.8, sift: 62.0 },
      { length: 32768, dense: 48.3, sift: 52.7 },
    ];
    const at = crossover(wide);
    expect(at).toBeGreaterThan(32768);
    expect(at).toBeLessThanOrEqual(131072);
  });

  test('faster in the middle only: from where it stays faster', () => {
    const bumpy = [
      { length: 1024, dense: 10, sift: 8 },
      { length: 4096, dense: 20, sift: 30 },
      { length: 16384, dense: 60, sift: 40 },
    ];
    const at = crossover(bumpy);
    expect(at).toBeGreaterThan(4096);
    expect(at).toBeLessThan(16384);
  });

  test('one length decides for itself; none is dense', () => {
    expect(crossover([{ length: 1024, dense: 10, sift: 8 }])).toBe(0);
    expect(crossover([{ length: 1024, dense: 10, sift: 12 }])).toBe(Number.POSITIVE_INFINITY);
    expect(crossover([])).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a sample', () => {
  test('is made of medians', () => {
    expect(sampleOf({ length: 64, dense: [1, 1.2, 1.1], sift: [2, 2.1, 2.2] })).toEqual({
      sample: { length: 64, dense: 1.1, sift: 2.1 },
      steady: true,
    });
  });

  test('of times that are not steady takes the quickest dense one', () => {
    // The dense steps came first, at a low clock. By medians alone sifting would seem faster.
    const { sample, steady } = sampleOf({
      length: 4096,
      dense: [33, 31, 19.1],
      sift: [26.2, 25, 24.5],
    });
    expect(steady).toBe(false);
    expect(sample.dense).toBeCloseTo(19.1);
    expect(crossover([sample, { length: 65_536, dense: 100, sift: 80 }])).toBeGreaterThan(4096);
  });
});

test('times are clearly apart if none of one kind comes near any of the other', () => {
  expect(clearlyApart([10, 11], [12.2, 15])).toBe(true);
  expect(clearlyApart([12.2, 15], [10, 11])).toBe(true);
  expect(clearlyApart([10, 11], [12, 15])).toBe(false);
  expect(clearlyApart([10, 15], [12, 13])).toBe(false);
});

test('a time is clearly longer if neither a slow nor a quick one alone makes it so', () => {
  expect(clearlyLonger([12, 12, 13], [10, 10, 11])).toBe(true);
  expect(clearlyLonger([10, 12, 13], [10, 10, 11])).toBe(false);
  expect(clearlyLonger([12, 12, 13], [10, 12, 12])).toBe(false);
  expect(clearlyLonger([10, 10, 11], [12, 12, 13])).toBe(false);
});
