import { describe, expect, test } from 'vitest';
import { hadamardSize } from '../policy/index.ts';
import { resolveInputs } from './inputs.ts';
import { createRandom } from './random.ts';
import {
  channelSign,
  encodeQuery,
  encodeRow,
  hadamard,
  isForeign,
  scaleOf,
  shadowProduct,
  shadowStatistics,
} from './shadow.ts';
import { siftedAttention } from './sifted.ts';

const random = createRandom(20261201);
const draw = (count: number) => Float64Array.from({ length: count }, () => random.normal());
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);

/** K rows of one head whose channels have other means and deviations. */
function unevenRows(rows: number, size: number): Float64Array {
  const mean = draw(size).map((x) => 3 * x);
  const deviation = draw(size).map((x) => Math.exp(x));
  return draw(rows * size).map((x, i) => mean[i % size]! + deviation[i % size]! * x);
}

function inputsOf(k: Float64Array, q: Float64Array, size: number) {
  const capacity = k.length / size;
  const queryHeads = q.length / size;
  return {
    q,
    k,
    v: draw(k.length),
    batch: 1,
    queryHeads,
    kvHeads: 1,
    headSize: size,
    capacity,
    lengths: capacity,
  };
}

describe('the rotation', () => {
  test.each([64, 80, 96, 12, 4])('twice gives the row times the size of a block: %i', (size) => {
    const row = draw(size);
    const rotated = row.slice();
    hadamard(rotated);
    // A block's sum of squares grows by its size.
    expect(dot(rotated, rotated) / dot(row, row)).toBeCloseTo(hadamardSize(size), 10);
    hadamard(rotated);
    rotated.forEach((x, i) => {
      expect(x).toBeCloseTo(row[i]! * hadamardSize(size), 10);
    });
  });

  test('blocks are the largest power of two that divides the head size', () => {
    expect([64, 80, 96, 128, 12, 4].map(hadamardSize)).toEqual([64, 16, 32, 128, 4, 4]);
  });

  test('about half of the signs are negative, in no simple order', () => {
    const signs = Array.from({ length: 64 }, (_, d) => channelSign(d));
    expect(signs.filter((sign) => sign < 0).length).toBeGreaterThan(20);
    expect(signs.filter((sign) => sign < 0).length).toBeLessThan(44);
    for (const period of [1, 2, 4, 8, 16, 32]) {
      const same = signs.filter((sign, d) => sign === signs[(d + period) % 64]).length;
      expect(same).toBeLessThan(60);
    }
  });
});

describe('the encoding', () => {
  test('a row worked out by hand', () => {
    const plain = { mean: [1, 1, 1, 1], deviation: [2, 2, 2, 2] };
    // (k - mean) / deviation is (1, 0, 0, 0). Whatever the sign of channel 0 is, its transform is four times that sign.
    const { codes, scale } = encodeRow([3, 1, 1, 1], plain);
    // The root mean square is 1, whose byte is 128. A value of +-1 is between 0 and 1.2 steps from 0.
    expect(scale).toBe(128);
    expect(Array.from(codes)).toEqual(Array(4).fill(channelSign(0) > 0 ? 2 : 1));
    // Twice the row has twice the scale, an octave of eight bytes, and the same codes.
    expect(encodeRow([5, 1, 1, 1], plain)).toEqual({ codes, scale: 136 });
    expect(scaleOf(136)).toBe(2);
    expect(encodeRow([1, 1, 1, 1], plain).scale).toBe(0);
  });

  test.each([64, 80, 96, 128])('scores are near the exact ones, in heads of %i', (size) => {
    const rows = 400;
    const k = unevenRows(rows, size);
    const q = draw(size);
    const x = resolveInputs(inputsOf(k, q, size));
    const statistics = shadowStatistics(x, 0, 0);
    const query = encodeQuery(q, statistics);
    const exact = Array.from({ length: rows }, (_, i) => dot(q, k.subarray(i * size, (i + 1) * size)));
    const errors = exact.map(
      (score, i) => shadowProduct(query, encodeRow(k.subarray(i * size, (i + 1) * size), statistics)) - score,
    );
    const mean = exact.reduce((a, b) => a + b, 0) / rows;
    const spread = Math.sqrt(exact.reduce((sum, score) => sum + (score - mean) ** 2, 0) / rows);
    const error = Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / rows);
    // Two bits over +-2.4 deviations leave about 0.36 of the spread of normal values.
    expect(error / spread).toBeLessThan(0.45);
    expect(error / spread).toBeGreaterThan(0.2);
  });

  test('neither a mean key nor outlier channels change a code', () => {
    const size = 64;
    const k = unevenRows(200, size);
    const shifted = k.map((value, i) => value + 50 * ((i % size) - 20));
    const stretched = k.map((value, i) => (i % size < 8 ? 8 * value : value));
    const coded = (rows: Float64Array) => {
      const statistics = shadowStatistics(resolveInputs(inputsOf(rows, draw(size), size)), 0, 0);
      return Array.from({ length: 200 }, (_, i) =>
        encodeRow(rows.subarray(i * size, (i + 1) * size), statistics),
      );
    };
    expect(coded(shifted)).toEqual(coded(k));
    expect(coded(stretched)).toEqual(coded(k));
  });
});

describe('attention with the shadow', () => {
  const size = 32;
  const length = 300;
  const inputs = inputsOf(unevenRows(length, size), draw(4 * size), size);
  const thresholds = (c: number) => Array<number>(4).fill(Math.log(c / length));
  const options = { keys: 'shadow', normaliser: 'estimate', shareGroup: true, dropped: 'linear' } as const;

  test('the edge keys are read in any case, and what is read is counted', () => {
    const { groupKept, groupRows, bytes, kept } = siftedAttention(inputs, thresholds(1e6), options);
    const read = Array.from(groupKept.entries()).filter(([, flag]) => flag === 1);
    expect(read.map(([row]) => row)).toEqual([
      ...Array.from({ length: 16 }, (_, i) => i),
      ...Array.from({ length: 48 }, (_, i) => length - 48 + i),
    ]);
    expect(groupRows[0]).toBe(64);
    expect(kept.some((flag) => flag === 1)).toBe(false);
    // 8 bytes of codes and one of scale for the rows between, and two bytes an element of K and of V for those that are read.
    expect(bytes).toEqual({
      k: (length - 64) * 9 + 64 * 64,
      v: 64 * 64,
      total: (length - 64) * 9 + 2 * 64 * 64,
      dense: 2 * length * 64,
    });
  });

  test('rows that the statistics do not describe are read: those of other text after one token again and again', () => {
    const fixed = draw(size);
    const k = draw(length * size).map((x, i) => fixed[i % size]! + (i < 200 * size ? 1e-3 * x : x));
    const other = inputsOf(k, draw(4 * size), size);
    const measured = inputsOf(k.slice(0, 200 * size), draw(4 * size), size);
    const statistics = [shadowStatistics(resolveInputs(measured), 0, 0)];
    const rows = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) =>
        isForeign(encodeRow(k.subarray((from + i) * size, (from + i + 1) * size), statistics[0]!)),
      );
    expect(rows(0, 200)).not.toContain(true);
    expect(rows(200, length)).not.toContain(false);
    const { groupKept, output } = siftedAttention(other, thresholds(0.5), { ...options, statistics });
    expect(groupKept.slice(200, length)).toEqual(new Uint8Array(length - 200).fill(1));
    const dense = siftedAttention(other, Array<number>(4).fill(-Infinity)).output;
    const error = output.reduce((sum, value, i) => sum + (value - dense[i]!) ** 2, 0) / dot(dense, dense);
    expect(Math.sqrt(error)).toBeLessThan(0.2);
  });

  test('with every row read it is dense attention', () => {
    const all = siftedAttention(inputs, Array<number>(4).fill(-Infinity), options);
    const dense = siftedAttention(inputs, Array<number>(4).fill(-Infinity));
    all.output.forEach((value, i) => {
      expect(value).toBeCloseTo(dense.output[i]!, 12);
    });
  });

  test('fewer rows are read at a higher level, and the output stays near', () => {
    const dense = siftedAttention(inputs, Array<number>(4).fill(-Infinity)).output;
    const results = [0.5, 2, 8].map((c) => siftedAttention(inputs, thresholds(c), options));
    const rows = results.map(({ groupRows }) => groupRows[0]!);
    expect(rows[0]!).toBeGreaterThan(rows[1]!);
    expect(rows[1]!).toBeGreaterThan(rows[2]!);
    const errors = results.map(({ output }) =>
      Math.sqrt(output.reduce((sum, value, i) => sum + (value - dense[i]!) ** 2, 0) / dot(dense, dense)),
    );
    expect(errors[0]!).toBeLessThan(errors[2]!);
    expect(errors[0]!).toBeLessThan(0.2);
  });
});
