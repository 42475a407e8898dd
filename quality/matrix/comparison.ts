import { divergence, logSoftmax, mostLikely } from '../../lab/decoding/logits.ts';
import type { StepDifference, StockDecoding } from './measurement.ts';

/** Compares the logits of one step. */
export function compareStep(stock: Float32Array, ours: Float32Array): StepDifference {
  const best = mostLikely(stock);
  let [second, least, largest] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < stock.length; i++) {
    if (i !== best) second = Math.max(second, stock[i]!);
    least = Math.min(least, stock[i]!);
    // NaN compares as false everywhere, and would pass for no difference.
    const difference = Math.abs(stock[i]! - ours[i]!);
    largest = Math.max(largest, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  return {
    stock: best,
    ours: mostLikely(ours),
    gap: stock[best]! - second,
    largest,
    range: stock[best]! - least,
    kl: divergence(logSoftmax(stock.slice()), logSoftmax(ours.slice())).kl,
  };
}

/**
 * Compares all steps.
 * @throws Error if one of the two has more steps
 */
export function compareSteps(
  stock: readonly Float32Array[],
  ours: readonly Float32Array[],
): StepDifference[] {
  if (stock.length !== ours.length) throw new Error(`${ours.length} steps instead of ${stock.length}`);
  return stock.map((row, i) => compareStep(row, ours[i]!));
}

/** A hash (FNV-1a over words, twice) of the bits of a step's logits. */
function digest(row: Float32Array): string {
  let [low, high] = [0x811c9dc5, 0x9747b28c];
  for (const word of new Uint32Array(row.buffer, row.byteOffset, row.length)) {
    low = Math.imul(low ^ word, 0x01000193);
    high = Math.imul(high ^ word ^ (low >>> 15), 0x01000193);
  }
  const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
  return hex(low) + hex(high);
}

/** What a stock decoding said, from the logits of its steps. */
export const stockDecoding = (logits: readonly Float32Array[]): StockDecoding => ({
  tokens: logits.map(mostLikely),
  digests: logits.map(digest),
});

/**
 * The first step at which two stock decodings differ in any bit of the logits, or null; the shorter one counts.
 * A step counts only while both were fed the same tokens, which they were up to the first difference.
 */
export function firstDifference(one: StockDecoding, other: StockDecoding): number | null {
  const steps = Math.min(one.digests.length, other.digests.length);
  for (let i = 0; i < steps; i++) if (one.digests[i] !== other.digests[i]) return i;
  return null;
}
