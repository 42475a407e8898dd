import { describe, expect, test } from 'vitest';
import { fromFloat16, toFloat16 } from '../../src/kernel/gpu/float16.ts';
import { Compensation } from './compensation.ts';
import { BLOCK, dequantise, quantise } from './quantise.ts';

/** Normally distributed numbers; the same for the same seed. */
function normal(length: number, seed: number): Float32Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

function relativeError(a: Float32Array, b: Float32Array): number {
  const error = a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0);
  return Math.sqrt(error / a.reduce((sum, x) => sum + x * x, 0));
}

/** Rounding with the scale that just covers each block: what the search must beat. */
function coverScale(data: Float32Array): Float32Array {
  return data.map((w, i) => {
    const start = i - (i % BLOCK);
    let peak = 0;
    for (const x of data.subarray(start, start + BLOCK)) if (Math.abs(x) > Math.abs(peak)) peak = x;
    const scale = peak / -8;
    return Math.max(-8, Math.min(7, Math.round(w / scale))) * scale;
  });
}

describe('quantise', () => {
  const rows = 24;
  const cols = 64;
  const data = normal(rows * cols, 7);

  test('4 bits keep normal weights within 9 %, and closer than covering scales do', () => {
    const error = relativeError(data, dequantise(quantise(data, rows, cols, 4)));
    expect(error).toBeLessThan(0.09);
    expect(error).toBeLessThan(0.97 * relativeError(data, coverScale(data)));
  });

  test('8 bits keep them within 0.6 %', () => {
    expect(relativeError(data, dequantise(quantise(data, rows, cols, 8)))).toBeLessThan(0.006);
  });

  test('codes and scales have the layout of MatMulNBits', () => {
    // The code of column c is c % 16 less 8, so that every block holds the whole range, at scale 1/4.
    const exact = Float32Array.from({ length: 2 * cols }, (_, i) => ((i % 16) - 8) / 4);
    const { codes, scales } = quantise(exact, 2, cols, 4);
    expect(scales).toEqual(new Float32Array(4).fill(0.25));
    expect([...codes.subarray(0, 8)]).toEqual([0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]);
    expect(codes.length).toBe((2 * cols) / 2);
  });

  test('a block of zeros stays zero', () => {
    const zeros = quantise(new Float32Array(BLOCK), 1, BLOCK, 4);
    expect(dequantise(zeros)).toEqual(new Float32Array(BLOCK));
    expect(zeros.codes).toEqual(new Uint8Array(BLOCK / 2).fill(0x88));
  });

  test('halfScales gives scales that a half holds', () => {
    const { scales } = quantise(data, rows, cols, 4, { halfScales: true });
    for (const scale of scales) expect(fromFloat16(toFloat16(scale))).toBe(scale);
  });

  test('refuses sizes that do not fit', () => {
    expect(() => quantise(data, rows, cols + 1, 4)).toThrow(/are not 24x65/);
    expect(() => quantise(new Float32Array(40), 1, 40, 4)).toThrow(/no multiple of 32/);
    const compensation = new Compensation(Float64Array.of(1, 0, 0, 1));
    expect(() => quantise(data, rows, cols, 4, { compensation })).toThrow(/for 2 columns, not 64/);
  });
});

describe('Compensation', () => {
  const rows = 16;
  const cols = 64;
  const samples = 256;
  const weights = normal(rows * cols, 3);
  // Correlated inputs: 16 directions and a little noise.
  const basis = normal(16 * cols, 5);
  const mix = normal(samples * 16, 11);
  const noise = normal(samples * cols, 13);
  const inputs = Float32Array.from({ length: samples * cols }, (_, i) => {
    const [s, c] = [Math.floor(i / cols), i % cols];
    let sum = 0.1 * noise[i]!;
    for (let k = 0; k < 16; k++) sum += mix[s * 16 + k]! * basis[k * cols + c]!;
    return sum;
  });
  const gram = new Float64Array(cols * cols);
  for (let s = 0; s < samples; s++) {
    for (let i = 0; i < cols; i++) {
      for (let j = 0; j < cols; j++) gram[i * cols + j]! += inputs[s * cols + i]! * inputs[s * cols + j]!;
    }
  }

  function products(matrix: Float32Array): Float32Array {
    return Float32Array.from({ length: samples * rows }, (_, i) => {
      const [s, r] = [Math.floor(i / rows), i % rows];
      let sum = 0;
      for (let c = 0; c < cols; c++) sum += inputs[s * cols + c]! * matrix[r * cols + c]!;
      return sum;
    });
  }

  test('lowers the error of the products with the inputs by more than a third', () => {
    const exact = products(weights);
    const compensation = new Compensation(gram);
    const plain = relativeError(exact, products(dequantise(quantise(weights, rows, cols, 4))));
    const fitted = quantise(weights, rows, cols, 4, { compensation });
    expect(relativeError(exact, products(dequantise(fitted)))).toBeLessThan(0.65 * plain);
  });

  test('changes nothing when the inputs are uncorrelated', () => {
    const identity = new Float64Array(cols * cols);
    for (let i = 0; i < cols; i++) identity[i * cols + i] = 1;
    const compensation = new Compensation(identity);
    expect(quantise(weights, rows, cols, 4, { compensation })).toEqual(quantise(weights, rows, cols, 4));
  });

  test('refuses what is no gram matrix', () => {
    expect(() => new Compensation(new Float64Array(3))).toThrow(/square/);
    expect(() => new Compensation(new Float64Array(4))).toThrow(/zero/);
    expect(() => new Compensation(Float64Array.of(1, 5, 5, 1))).toThrow(/not positive definite/);
  });
});
