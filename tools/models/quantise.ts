import { fromHalfBits, toHalfBits } from './float16.ts';

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

/** Fractions of the range-covering scale to try: clipping the outermost weights often lowers the total error. */
const CANDIDATES = Array.from({ length: 17 }, (_, i) => 0.7 + i * 0.025);

/**
 * Quantises a matrix. For each block several scales are tried, each refined to the least-squares scale of the
 * codes it gives, and the one of the smallest squared error is kept. The scale may be negative, so that the
 * block's largest weight can use the code range's longer side (-8 rather than +7).
 */
export function quantise(
  data: Float32Array,
  rows: number,
  cols: number,
  bits: Bits,
  halfScales = false,
): QuantisedMatrix {
  if (data.length !== rows * cols)
    throw new Error(`quantise: ${data.length} weights are not ${rows}x${cols}`);
  if (cols % BLOCK !== 0) throw new Error(`quantise: ${cols} columns are no multiple of ${BLOCK}`);
  const blocks = data.length / BLOCK;
  const codes = new Uint8Array((data.length * bits) / 8);
  const scales = new Float32Array(blocks);
  const zero = 1 << (bits - 1);
  const roundScale = halfScales ? (s: number) => fromHalfBits(toHalfBits(s)) : Math.fround;
  for (let b = 0; b < blocks; b++) {
    const block = data.subarray(b * BLOCK, (b + 1) * BLOCK);
    const scale = bestScale(block, zero, roundScale);
    scales[b] = scale;
    for (let i = 0; i < BLOCK; i++) {
      const code = encode(block[i]!, scale, zero) + zero;
      const at = b * BLOCK + i;
      if (bits === 8) codes[at] = code;
      else codes[at >> 1]! |= at & 1 ? code << 4 : code;
    }
  }
  return { bits, rows, cols, codes, scales };
}

/** The matrix that the codes and scales stand for. */
export function dequantise(matrix: QuantisedMatrix): Float32Array {
  const zero = 1 << (matrix.bits - 1);
  const out = new Float32Array(matrix.rows * matrix.cols);
  for (let at = 0; at < out.length; at++) {
    const byte = matrix.bits === 8 ? matrix.codes[at]! : (matrix.codes[at >> 1]! >> (at & 1 ? 4 : 0)) & 15;
    out[at] = (byte - zero) * matrix.scales[Math.floor(at / BLOCK)]!;
  }
  return out;
}

/** The signed code of a weight, in [-zero, zero - 1]. */
function encode(weight: number, scale: number, zero: number): number {
  if (scale === 0) return 0;
  return Math.max(-zero, Math.min(zero - 1, Math.round(weight / scale)));
}

function bestScale(block: Float32Array, zero: number, roundScale: (s: number) => number): number {
  let peak = 0;
  for (const w of block) if (Math.abs(w) > Math.abs(peak)) peak = w;
  if (peak === 0) return 0;
  const full = -peak / zero; // maps the largest weight to -zero
  let best = roundScale(full);
  let bestError = squaredError(block, best, zero);
  for (const sign of [1, -1]) {
    for (const fraction of CANDIDATES) {
      const start = full * fraction * sign;
      for (const scale of [roundScale(start), roundScale(refine(block, start, zero))]) {
        const error = squaredError(block, scale, zero);
        if (error < bestError) {
          best = scale;
          bestError = error;
        }
      }
    }
  }
  return best;
}

/** The scale of least squared error for the codes that `scale` gives. */
function refine(block: Float32Array, scale: number, zero: number): number {
  let wq = 0;
  let qq = 0;
  for (const w of block) {
    const q = encode(w, scale, zero);
    wq += w * q;
    qq += q * q;
  }
  return qq === 0 ? scale : wq / qq;
}

function squaredError(block: Float32Array, scale: number, zero: number): number {
  let sum = 0;
  for (const w of block) sum += (w - encode(w, scale, zero) * scale) ** 2;
  return sum;
}
