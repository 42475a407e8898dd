import { describe, expect, it } from 'vitest';
import { createRandom } from '../oracle/index.ts';
import { keyToBits, orderedKey, selectF32, selectF64 } from './select.ts';

const bitsOf = (value: number) => new Uint32Array(new Float32Array([value]).buffer)[0]!;

describe('orderedKey', () => {
  const ascending = [-Infinity, -3e38, -1, -1e-38, -1e-45, -0, 0, 1e-45, 1e-38, 0.5, 1, 3e38, Infinity];

  it('orders keys as numbers, and comes back', () => {
    const keys = ascending.map((value) => orderedKey(bitsOf(value)));
    for (let i = 1; i < keys.length; i++) expect(keys[i]).toBeGreaterThan(keys[i - 1]!);
    for (const value of ascending) expect(keyToBits(orderedKey(bitsOf(value)))).toBe(bitsOf(value));
  });

  it('has known patterns', () => {
    expect(orderedKey(0)).toBe(0x80000000);
    expect(orderedKey(0x80000000)).toBe(0x7fffffff);
    expect(orderedKey(bitsOf(1))).toBe(0xbf800000);
    expect(orderedKey(bitsOf(-1))).toBe(0x407fffff);
  });
});

describe('select against a full sort', () => {
  const random = createRandom(21);
  const shapes: Record<string, (n: number) => Float32Array> = {
    normals: (n) => random.normals(n),
    'tiny probabilities': (n) =>
      Float32Array.from({ length: n }, () => Math.exp(-20 - 60 * random.uniform())),
    'subnormals and zeros': (n) => Float32Array.from({ length: n }, () => random.integer(5) * 1.4e-45),
    ties: (n) => Float32Array.from({ length: n }, () => random.integer(3) - 1),
    'all equal': (n) => new Float32Array(n).fill(-2.5),
    ascending: (n) => Float32Array.from({ length: n }, (_, i) => i - n / 2),
    descending: (n) => Float32Array.from({ length: n }, (_, i) => n / 2 - i),
    'masked log-probabilities': (n) =>
      Float32Array.from({ length: n }, () => (random.uniform() < 0.3 ? -Infinity : -9 * random.uniform())),
  };

  it.each(Object.keys(shapes))('%s: every rank', (name) => {
    for (const n of [1, 2, 3, 7, 64, 257]) {
      const values = shapes[name]!(n);
      const before = values.slice();
      const sorted = Array.from(values).sort((a, c) => a - c);
      for (let k = 0; k < n; k++) {
        expect(selectF32(values, k) === sorted[k], `f32 n ${n} rank ${k}`).toBe(true);
        expect(selectF64(values, k) === sorted[k], `f64 n ${n} rank ${k}`).toBe(true);
      }
      expect(values).toEqual(before);
    }
  });

  it('tells f64 values apart that are one f32', () => {
    const values = [1 + 3e-12, 1, 1 + 1e-12, 1 + 2e-12];
    expect([0, 1, 2, 3].map((k) => selectF64(values, k))).toEqual([1, 1 + 1e-12, 1 + 2e-12, 1 + 3e-12]);
  });
});
