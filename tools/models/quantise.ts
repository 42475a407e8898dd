import { fromFloat16, toFloat16 } from '../../src/kernel/gpu/float16.ts';
import type { Compensation } from './compensation.ts';

/** Weights per scale, along the input dimension; what the hub's exports use. */
export const BLOCK = 32;

export type Bits = 4 | 8;

/**
 * A [rows, cols] matrix in blocks of {@link BLOCK} columns: weight = (code - 2^(bits-1)) * scale, the layout of
 * com.microsoft MatMulNBits (B) and GatherBlockQuantized with uint8 data and no zero points.
 */
export interface QuantisedMatrix {
  readonly bits: Bits;
  readonly rows: number;
  readonly cols: number;
  /** Codes, row by row; for 4 bits two a byte, the lower nibble first. */
  readonly codes: Uint8Array;
  /** One a block, row by row; values that the scales' type (f32 or f16) holds exactly. */
  readonly scales: Float32Array;
}

export interface QuantiseOptions {
  /** Rounds the scales to f16; default false. */
  readonly halfScales?: boolean;
  /** Lets the columns yet to be rounded make up for those already rounded; default: plain rounding. */
  readonly compensation?: Compensation;
}

/** Fractions of the range-covering scale to try: clipping the outermost weights often lowers the total error. */
const FRACTIONS = Array.from({ length: 17 }, (_, i) => 0.7 + i * 0.025);

/** Quantises a [rows, cols] matrix; each block gets the scale of least squared error among several. */
export function quantise(
  data: Float32Array,
  rows: number,
  cols: number,
  bits: Bits,
  { halfScales = false, compensation }: QuantiseOptions = {},
): QuantisedMatrix {
  if (data.length !== rows * cols)
    throw new Error(`quantise: ${data.length} weights are not ${rows}x${cols}`);
  if (cols % BLOCK !== 0) throw new Error(`quantise: ${cols} columns are no multiple of ${BLOCK}`);
  if (compensation && compensation.size !== cols) {
    throw new Error(`quantise: the compensation is for ${compensation.size} columns, not ${cols}`);
  }
  const codes = new Uint8Array((data.length * bits) / 8);
  const scales = new Float32Array(data.length / BLOCK);
  const zero = 1 << (bits - 1);
  const row = new Float64Array(cols);
  for (let r = 0; r < rows; r++) {
    row.set(data.subarray(r * cols, (r + 1) * cols));
    for (let start = 0; start < cols; start += BLOCK) {
      const scale = bestScale(row.subarray(start, start + BLOCK), zero, halfScales);
      scales[(r * cols + start) / BLOCK] = scale;
      for (let c = start; c < start + BLOCK; c++) {
        const code = encode(row[c]!, scale, zero);
        const at = r * cols + c;
        if (bits === 8) codes[at] = code + zero;
        else codes[at >> 1]! |= at & 1 ? (code + zero) << 4 : code + zero;
        compensation?.spread(row, c, row[c]! - code * scale);
      }
    }
  }
  return { bits, rows, cols, codes, scales };
}

/** The matrix that the codes and scales stand for. */
export function dequantise(matrix: QuantisedMatrix): Float32Array {
  const zero = 1 << (matrix.bits - 1);
  const out = new Float32Array(matrix.rows * matrix.cols);
  for (let at = 0; at < out.length; at++) {
    const code = matrix.bits === 8 ? matrix.codes[at]! : (matrix.codes[at >> 1]! >> (at & 1 ? 4 : 0)) & 15;
    out[at] = (code - zero) * matrix.scales[Math.floor(at / BLOCK)]!;
  }
  return out;
}

/** The signed code of a weight, in [-zero, zero - 1]. */
function encode(weight: number, scale: number, zero: number): number {
  if (scale === 0) return 0;
  return Math.max(-zero, Math.min(zero - 1, Math.round(weight / scale)));
}

/**
 * The scale of least squared error among fractions of the one that just covers the block. Negative scales are
 * tried too, so that the largest weight can use the code range's longer side (-8 rather than +7).
 */
function bestScale(block: Float64Array, zero: number, half: boolean): number {
  let peak = 0;
  for (const w of block) peak = Math.max(peak, Math.abs(w));
  let best = 0;
  let bestError = Number.POSITIVE_INFINITY;
  for (const full of peak === 0 ? [] : [peak / zero, -peak / zero]) {
    for (const fraction of FRACTIONS) {
      const exact = full * fraction;
      const scale = half ? fromFloat16(toFloat16(exact)) : Math.fround(exact);
      let error = 0;
      for (const w of block) error += (w - encode(w, scale, zero) * scale) ** 2;
      if (error < bestError) {
        best = scale;
        bestError = error;
      }
    }
  }
  return best;
}
