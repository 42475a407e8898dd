import { describe, expect, it } from 'vitest';
import { createRandom } from './random.ts';

describe('createRandom', () => {
  it('gives the published mulberry32 sequence', () => {
    // The algorithm written out for seed 1, with BigInt arithmetic in place of Math.imul.
    const mask = 0xffffffffn;
    let state = 1n;
    const next = () => {
      state = (state + 0x6d2b79f5n) & mask;
      let t = ((state ^ (state >> 15n)) * (state | 1n)) & mask;
      t ^= (t + (((t ^ (t >> 7n)) * (t | 61n)) & mask)) & mask;
      return Number(t ^ (t >> 14n)) / 2 ** 32;
    };
    const random = createRandom(1);
    for (let i = 0; i < 100; i++) expect(random.uniform()).toBe(next());
  });

  it('repeats for a seed and differs between seeds', () => {
    expect(createRandom(7).normals(50)).toEqual(createRandom(7).normals(50));
    expect(createRandom(7).normals(50)).not.toEqual(createRandom(8).normals(50));
  });

  it('has the moments of a standard normal', () => {
    const values = Array.from(createRandom(3).normals(40000));
    const moment = (power: number) => values.reduce((sum, x) => sum + x ** power, 0) / values.length;
    expect(moment(1)).toBeCloseTo(0, 1);
    expect(moment(2)).toBeCloseTo(1, 1);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.2);
  });

  it('draws integers over the whole range', () => {
    const random = createRandom(5);
    const seen = new Set(Array.from({ length: 200 }, () => random.integer(6)));
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });
});
