import { describe, expect, test } from 'vitest';
import { fromFloat16, packFloat16, toFloat16, unpackFloat16 } from './float16.ts';

describe('half precision', () => {
  test('every finite half survives the way to a number and back', () => {
    const finite = Array.from({ length: 0x10000 }, (_, bits) => bits).filter(
      (bits) => (~bits & 0x7c00) !== 0,
    );
    expect(finite.map((bits) => toFloat16(fromFloat16(bits)))).toEqual(finite);
  });

  test.each([
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00], // the tie above the largest half rounds to infinity
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000], // a tie with zero rounds to even
    [2 ** -25 * 1.5, 0x0001],
    [1 + 2 ** -11, 0x3c00], // ties round to even: down here
    [1 + 3 * 2 ** -11, 0x3c02], // and up here
    [2 - 2 ** -12, 0x4000], // a carry into the exponent
    [Number.NEGATIVE_INFINITY, 0xfc00],
  ])('%d has the bits %i', (value, bits) => {
    expect(toFloat16(value)).toBe(bits);
  });

  test('NaN stays NaN', () => {
    expect(fromFloat16(toFloat16(Number.NaN))).toBeNaN();
  });

  test('arrays convert element by element', () => {
    const values = new Float32Array([0, -0.5, 3.140625]);
    expect(unpackFloat16(packFloat16(values))).toEqual(values);
  });
});
