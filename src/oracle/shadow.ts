import { CODE_STEP, ESTIMATE_KEYS, hadamardSize, LARGEST_SCALE, MOMENT_ROWS } from '../policy/index.ts';
import { spread } from './estimate.ts';
import type { ResolvedInputs } from './inputs.ts';

// The shadow of K: a copy with 2 bits an element, which decides which rows are read exactly. wgsl/shadow/encode.wgsl makes it,
// wgsl/shadow/query.wgsl prepares queries for it, and both explain why.

/** What rows of one KV head are encoded with, each [headSize]. */
export interface ShadowStatistics {
  /** The mean key. */
  readonly mean: ArrayLike<number>;
  /** The standard deviation of each channel. */
  readonly deviation: ArrayLike<number>;
}

/** One row of the shadow. */
export interface ShadowRow {
  /** A code from 0 to 3 for each element of the rotated row: [headSize]. */
  readonly codes: Uint8Array;
  /** The byte of the row's scale, eighths of an octave: it stands for 2^((byte - 128) / 8). */
  readonly scale: number;
}

/** A query that is rotated and coded for the shadow of one KV head. */
export interface ShadowQuery {
  /** A code from -127 to 127 for each element of the rotated query: [headSize]. */
  readonly codes: Int8Array;
  /** What a code of the query counts. */
  readonly unit: number;
  /** q · mean key. */
  readonly centre: number;
}

/** Keeps the logarithm of an empty row's scale finite. */
const LEAST_SQUARE = 1e-20;
/** A channel that does not change must not be divided by 0. */
const LEAST_VARIANCE = 1e-12;

/** The sign of a channel before the rotation: negative if its product with a constant has an odd number of bits. */
export function channelSign(channel: number): number {
  let bits = Math.imul(channel, 0x9e3779b1) >>> 0;
  let odd = 0;
  for (; bits > 0; bits >>>= 1) odd ^= bits & 1;
  return odd === 1 ? -1 : 1;
}

/** The Walsh-Hadamard transform of each block of a row, in place and not normalised. */
export function hadamard(row: Float64Array): void {
  const size = hadamardSize(row.length);
  for (let stride = 1; stride < size; stride *= 2) {
    for (let i = 0; i < row.length; i++) {
      if ((i & stride) !== 0) continue;
      const a = row[i]!;
      const b = row[i + stride]!;
      row[i] = a + b;
      row[i + stride] = a - b;
    }
  }
}

/** Mean and deviation of the channels of one KV head of one sequence, from at most {@link MOMENT_ROWS} of its rows. */
export function shadowStatistics(x: ResolvedInputs, batch: number, kvHead: number): ShadowStatistics {
  const { headSize, capacity, kvHeads, k } = x;
  const length = x.lengths[batch]!;
  const rows = Math.min(length, MOMENT_ROWS);
  const mean = new Float64Array(headSize);
  const deviation = new Float64Array(headSize);
  const first = (batch * kvHeads + kvHead) * capacity;
  const places = Array.from({ length: rows }, (_, i) => (first + spread(i, rows, length)) * headSize);
  for (let d = 0; d < headSize; d++) {
    for (const at of places) mean[d]! += k[at + d]! / rows;
    let variance = 0;
    for (const at of places) variance += (k[at + d]! - mean[d]!) ** 2 / rows;
    deviation[d] = Math.sqrt(Math.max(variance, LEAST_VARIANCE));
  }
  return { mean, deviation };
}

/**
 * Encodes a K row.
 * @param row - [headSize]
 */
export function encodeRow(row: ArrayLike<number>, { mean, deviation }: ShadowStatistics): ShadowRow {
  const rotated = Float64Array.from(row, (k, d) => (channelSign(d) * (k - mean[d]!)) / deviation[d]!);
  hadamard(rotated);
  const square = rotated.reduce((sum, z) => sum + z * z, 0) / row.length;
  const scale = Math.min(255, Math.max(0, Math.round(4 * Math.log2(Math.max(square, LEAST_SQUARE))) + 128));
  const step = CODE_STEP * scaleOf(scale);
  const codes = Uint8Array.from(rotated, (z) => Math.min(3, Math.max(0, Math.floor(z / step) + 2)));
  return { codes, scale };
}

/** Whether the statistics do not describe a row: its scale says so, and its scores are not made use of. */
export function isForeign({ codes, scale }: ShadowRow): boolean {
  return scale > 128 + 4 * Math.log2(hadamardSize(codes.length)) + LARGEST_SCALE;
}

/** What a row that is foreign has for a score: so low that it adds nothing to a normaliser. */
export const FOREIGN = -1e4;

/** The scale that a byte stands for. */
export function scaleOf(byte: number): number {
  return 2 ** ((byte - 128) / 8);
}

/**
 * Rotates and codes a query.
 * @param query - [headSize]
 */
export function encodeQuery(query: ArrayLike<number>, { mean, deviation }: ShadowStatistics): ShadowQuery {
  const size = query.length;
  const rotated = Float64Array.from(query, (q, d) => channelSign(d) * q * deviation[d]!);
  hadamard(rotated);
  const most = rotated.reduce((m, u) => Math.max(m, Math.abs(u)), 0);
  const codes = Int8Array.from(rotated, (u) => (most > 0 ? Math.round((u / most) * 127) : 0));
  const centre = Array.from(query).reduce((sum, q, d) => sum + q * mean[d]!, 0);
  return { codes, unit: most / 127 / hadamardSize(size), centre };
}

/** q · k as the shadow has it, not scaled. */
export function shadowProduct({ codes, unit, centre }: ShadowQuery, row: ShadowRow): number {
  let sum = 0;
  for (let d = 0; d < codes.length; d++) sum += codes[d]! * (row.codes[d]! - 1.5);
  return centre + CODE_STEP * scaleOf(row.scale) * unit * sum;
}

/** How many of `length` keys are no edge keys. */
export function betweenEdges(length: number): number {
  return Math.max(0, length - ESTIMATE_KEYS.sink - ESTIMATE_KEYS.newest);
}

/** Whether a key is an edge key, whose exact K is read in any case. */
export function isEdgeKey(key: number, length: number): boolean {
  return key < ESTIMATE_KEYS.sink || key >= length - ESTIMATE_KEYS.newest;
}

/**
 * Scores as the shadow has them, {@link FOREIGN} for rows that it does not describe, and the exact ones of the edge keys: [batch, queryHeads, capacity].
 *
 * @param given - what rows are encoded with, [batch * kvHeads], if it is not measured from these rows
 */
export function shadowScores(
  x: ResolvedInputs,
  exact: Float64Array,
  given?: readonly ShadowStatistics[],
): Float64Array {
  const { batch, queryHeads, kvHeads, headSize, capacity, groupSize, scale, q, k } = x;
  const scores = exact.slice();
  for (let group = 0; group < batch * kvHeads; group++) {
    const b = Math.floor(group / kvHeads);
    const length = x.lengths[b]!;
    const statistics = given?.[group] ?? shadowStatistics(x, b, group % kvHeads);
    const queries = Array.from({ length: groupSize }, (_, i) => {
      const at = (b * queryHeads + (group % kvHeads) * groupSize + i) * headSize;
      return encodeQuery(slice(q, at, headSize), statistics);
    });
    for (let key = 0; key < length; key++) {
      if (isEdgeKey(key, length)) continue;
      const row = encodeRow(slice(k, (group * capacity + key) * headSize, headSize), statistics);
      queries.forEach((query, i) => {
        const head = b * queryHeads + (group % kvHeads) * groupSize + i;
        scores[head * capacity + key] = isForeign(row) ? FOREIGN : scale * shadowProduct(query, row);
      });
    }
  }
  return scores;
}

function slice(values: ArrayLike<number>, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => values[at + i]!);
}
