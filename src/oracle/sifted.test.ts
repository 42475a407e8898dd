import { describe, expect, it } from 'vitest';
import { attentionScores, denseAttention } from './attention.ts';
import type { AttentionInputs } from './inputs.ts';
import { createRandom } from './random.ts';
import { siftedAttention } from './sifted.ts';

/**
 * One KV head of size 1 with 4 rows, two query heads with q = 1 and q = -1. Head 0 has weights 1:2:4:1 and head 1
 * has weights 1 : 1/2 : 1/4 : 1, that is 4:2:1:4 in 11ths.
 */
const GROUP: AttentionInputs = {
  q: [1, -1],
  k: [0, Math.log(2), Math.log(4), 0, NaN],
  v: [8, 16, 24, 32, NaN],
  batch: 1,
  queryHeads: 2,
  kvHeads: 1,
  headSize: 1,
  capacity: 5,
  lengths: 4,
};
const NONE = [Infinity, Infinity];

describe('siftedAttention by hand', () => {
  // Head 0 keeps p >= 2/8: rows 1, 2. Head 1 keeps p >= 4/11: rows 0, 3.
  const thresholds = [Math.log(1.9 / 8), Math.log(3.9 / 11)];

  it('sums the kept rows only, as the paper does', () => {
    const { output, kept, keptRows, groupKept, groupRows, keptMass } = siftedAttention(GROUP, thresholds);
    expect(Array.from(kept)).toEqual([0, 1, 1, 0, 0, 1, 0, 0, 1, 0]);
    expect(Array.from(keptRows)).toEqual([2, 2]);
    expect(Array.from(groupKept)).toEqual([1, 1, 1, 1, 0]);
    expect(Array.from(groupRows)).toEqual([4]);
    expect(keptMass[0]).toBeCloseTo(6 / 8, 14);
    expect(keptMass[1]).toBeCloseTo(8 / 11, 14);
    expect(output[0]).toBeCloseTo((2 * 16 + 4 * 24) / 8, 12);
    expect(output[1]).toBeCloseTo((4 * 8 + 4 * 32) / 11, 12);
  });

  it('renormalises by the kept mass', () => {
    const { output } = siftedAttention(GROUP, thresholds, { dropped: 'renormalise' });
    expect(output[0]).toBeCloseTo((2 * 16 + 4 * 24) / 6, 12);
    expect(output[1]).toBeCloseTo((4 * 8 + 4 * 32) / 8, 12);
  });

  it('multiplies outputs by the share that the keys have beside a sink, and judges rows without it', () => {
    // The exponentials of head 0 add up to 8, as much as its sink's: half is left of every output. Head 1 has no sink.
    const sunk = { ...GROUP, sinks: [Math.log(8), -Infinity] };
    for (const dropped of ['none', 'renormalise', 'mean', 'linear'] as const) {
      const [with_, without] = [sunk, GROUP].map((x) => siftedAttention(x, thresholds, { dropped }));
      expect(with_!.output[0]).toBeCloseTo(without!.output[0]! / 2, 12);
      expect(with_!.output[1]).toBe(without!.output[1]);
      expect([with_!.kept, with_!.keptMass]).toEqual([without!.kept, without!.keptMass]);
    }
  });

  it('shares the union in the group, and the mass is that of the union', () => {
    // Head 1 keeps nothing of its own: it gets rows 1 and 2 from head 0.
    const shared = { shareGroup: true, dropped: 'renormalise' } as const;
    const { output, keptRows, keptMass, groupRows } = siftedAttention(
      GROUP,
      [thresholds[0]!, Infinity],
      shared,
    );
    expect(Array.from(keptRows)).toEqual([2, 0]);
    expect(Array.from(groupRows)).toEqual([2]);
    expect(keptMass[1]).toBeCloseTo(3 / 11, 14);
    expect(output[1]).toBeCloseTo((2 * 16 + 1 * 24) / 3, 12);
  });

  it('keeps the newest row, the one at length - 1', () => {
    const { kept, output } = siftedAttention(GROUP, NONE, { keepNewest: true });
    expect(Array.from(kept)).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
    expect(output[0]).toBeCloseTo(32 / 8, 12);
  });

  it('keeps every row of the maximum score', () => {
    const { kept } = siftedAttention(GROUP, NONE, { keepLargest: true });
    expect(Array.from(kept)).toEqual([0, 0, 1, 0, 0, 1, 0, 0, 1, 0]);
  });

  it('does not raise a low threshold to the maximum', () => {
    const { keptRows } = siftedAttention(GROUP, thresholds, { keepLargest: true });
    expect(Array.from(keptRows)).toEqual([2, 2]);
  });

  it.each(['none', 'renormalise'] as const)('is zero when nothing is kept (dropped: %s)', (dropped) => {
    const { output, keptMass, bytes } = siftedAttention(GROUP, NONE, { dropped, shareGroup: true });
    expect(Array.from(output)).toEqual([0, 0]);
    expect(Array.from(keptMass)).toEqual([0, 0]);
    expect(bytes.v).toBe(0);
  });

  it('keeps a row that equals the threshold', () => {
    const { logProbabilities } = attentionScores(GROUP);
    const { keptRows } = siftedAttention(GROUP, [logProbabilities[1]!, logProbabilities[6]!]);
    expect(Array.from(keptRows)).toEqual([2, 3]);
  });

  it('counts bytes: all of K, and of V the union', () => {
    const { bytes } = siftedAttention(GROUP, [thresholds[0]!, Infinity], { elementBytes: 4 });
    expect(bytes).toEqual({ k: 4 * 1 * 4, v: 2 * 1 * 4, total: 24, dense: 32 });
    expect(siftedAttention(GROUP, NONE).bytes).toEqual({ k: 8, v: 0, total: 8, dense: 16 });
  });

  it('refuses thresholds of the wrong number or not a number', () => {
    expect(() => siftedAttention(GROUP, [0])).toThrow(expect.objectContaining({ option: 'logThresholds' }));
    expect(() => siftedAttention(GROUP, [0, NaN])).toThrow(
      expect.objectContaining({ option: 'logThresholds[1]' }),
    );
    expect(() => siftedAttention(GROUP, NONE, { elementBytes: 0 })).toThrow(/elementBytes/);
  });
});

describe.each([11, 12, 13, 14])('siftedAttention properties, seed %i', (seed) => {
  const random = createRandom(seed);
  const [batch, kvHeads, groupSize, headSize, capacity] = [2, 2, 4, 8, 70];
  const queryHeads = kvHeads * groupSize;
  const size = batch * kvHeads * capacity * headSize;
  const inputs: AttentionInputs = {
    q: random.normals(batch * queryHeads * headSize, 2),
    k: random.normals(size),
    v: random.normals(size),
    batch,
    queryHeads,
    kvHeads,
    headSize,
    capacity,
    lengths: [capacity, 41],
  };
  const heads = batch * queryHeads;
  const thresholds = Array.from({ length: heads }, () => -2 - 4 * random.uniform());
  const dense = denseAttention(inputs).output;
  const distance = (output: Float64Array) =>
    Math.sqrt(output.reduce((sum, value, i) => sum + (value - dense[i]!) ** 2, 0));

  it('is dense attention when every row is kept', () => {
    for (const dropped of ['none', 'renormalise', 'mean', 'linear'] as const) {
      const all = siftedAttention(inputs, Array(heads).fill(-Infinity), { dropped });
      all.output.forEach((value, i) => {
        expect(value).toBeCloseTo(dense[i]!, 12);
      });
      expect(all.bytes.total).toBe(all.bytes.dense);
    }
  });

  it('has consistent counts and masks', () => {
    const s = siftedAttention(inputs, thresholds, { keepNewest: true });
    for (let head = 0; head < heads; head++) {
      const group = Math.floor(head / groupSize);
      const row = s.kept.subarray(head * capacity, (head + 1) * capacity);
      const union = s.groupKept.subarray(group * capacity, (group + 1) * capacity);
      expect(row.reduce((a, c) => a + c, 0)).toBe(s.keptRows[head]);
      expect(union.reduce((a, c) => a + c, 0)).toBe(s.groupRows[group]);
      row.forEach((kept, i) => {
        expect(kept).toBeLessThanOrEqual(union[i]!);
      });
    }
    expect(s.bytes.v).toBe(s.groupRows.reduce((a, c) => a + c, 0) * headSize * 2);
    expect(s.bytes.total).toBeLessThan(s.bytes.dense);
    expect(s.bytes.total).toBeGreaterThan(s.bytes.dense / 2);
  });

  it('keeps no fewer rows with a lower threshold', () => {
    const high = siftedAttention(inputs, thresholds);
    const low = siftedAttention(
      inputs,
      thresholds.map((t) => t - 0.5),
    );
    high.kept.forEach((kept, i) => {
      expect(kept).toBeLessThanOrEqual(low.kept[i]!);
    });
    expect(low.keptRows.reduce((a, c) => a + c)).toBeGreaterThan(high.keptRows.reduce((a, c) => a + c));
  });

  it('reads the same bytes and holds more mass when the group shares', () => {
    const alone = siftedAttention(inputs, thresholds, { dropped: 'renormalise' });
    const shared = siftedAttention(inputs, thresholds, { dropped: 'renormalise', shareGroup: true });
    expect(shared.bytes).toEqual(alone.bytes);
    expect(shared.kept).toEqual(alone.kept);
    shared.keptMass.forEach((mass, i) => {
      expect(mass).toBeGreaterThanOrEqual(alone.keptMass[i]!);
      expect(mass).toBeLessThanOrEqual(1 + 1e-12);
    });
    expect(distance(shared.output)).toBeLessThan(distance(alone.output));
  });
});
