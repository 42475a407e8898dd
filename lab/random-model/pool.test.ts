import { expect, test } from 'vitest';
import { unpackFloat16 } from '../../src/kernel/gpu/float16.ts';
import { CODE_DEVIATION, Pool, withoutZeros } from './pool.ts';

const bytesOf = (pool: Pool, size: number, start: number) => {
  const chunks = [...pool.read(size, start)];
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
};

test('each code 0 of a word becomes 8, and nothing else changes', () => {
  expect(withoutZeros(0)).toBe(0x88888888);
  expect(withoutZeros(0x10203040)).toBe(0x18283848);
  expect(withoutZeros(0xf00f1248)).toBe(0xf88f1248);
});

test('codes have the mean 8, none is 0, and their deviation is the one that scales go by', () => {
  const codes = [...bytesOf(Pool.codes(1), 200_000, 77)].flatMap((byte) => [byte & 15, byte >> 4]);
  expect(Math.min(...codes.slice(0, 1000))).toBe(1);
  const mean = codes.reduce((sum, code) => sum + code, 0) / codes.length;
  const variance = codes.reduce((sum, code) => sum + (code - 8) ** 2, 0) / codes.length;
  expect(mean).toBeCloseTo(8, 1);
  expect(Math.sqrt(variance)).toBeCloseTo(CODE_DEVIATION, 1);
});

test('normals have the mean 0 and the variance 1, and are the same in both precisions', () => {
  const [full, half] = [false, true].map(
    (half) => bytesOf(Pool.normals(1, half), half ? 20_000 : 40_000, 5).buffer,
  );
  const values = new Float32Array(full!);
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const square = values.reduce((sum, x) => sum + x * x, 0) / values.length;
  expect(mean).toBeCloseTo(0, 1);
  expect(square).toBeCloseTo(1, 1);
  unpackFloat16(new Uint16Array(half!)).forEach((x, i) => {
    expect(Math.abs(x - values[i]!)).toBeLessThan(2 ** -10);
  });
});

test('past its end a pool is read again from other places', () => {
  const size = 16 * 2 ** 20;
  const views = [...Pool.codes(1).read(3 * size - 7000, size - 10)];
  expect(views.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(3 * size - 7000);
  expect(views.map(({ byteOffset }) => byteOffset)).toEqual([size - 10, 1021, 2042, 3063]);
});
