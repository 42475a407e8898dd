/** Figures of one policy over the steps after the warm-up. */
export interface QualityFigures {
  policy: string;
  ppl: number;
  klMean: number;
  klMedian: number;
  /** Share of the steps whose most likely token is that of exact attention. */
  top1: number;
  /** Mean kept fraction of the heads, and share of V rows that at least one head of a group kept; null for exact attention. */
  keptHead: number | null;
  keptGroup: number | null;
}

/** Natural log-probabilities of one step, in place. */
export function logSoftmax(row: Float32Array): Float32Array {
  let top = Number.NEGATIVE_INFINITY;
  for (const value of row) top = Math.max(top, value);
  let sum = 0;
  for (const value of row) sum += Math.exp(value - top);
  const shift = top + Math.log(sum);
  for (let i = 0; i < row.length; i++) row[i] = row[i]! - shift;
  return row;
}

/** KL(exact || other) in nats, and whether the most likely tokens agree. */
export function divergence(exact: Float32Array, other: Float32Array): { kl: number; same: boolean } {
  let kl = 0;
  let bestExact = 0;
  let bestOther = 0;
  for (let i = 0; i < exact.length; i++) {
    kl += Math.exp(exact[i]!) * (exact[i]! - other[i]!);
    if (exact[i]! > exact[bestExact]!) bestExact = i;
    if (other[i]! > other[bestOther]!) bestOther = i;
  }
  return { kl, same: bestExact === bestOther };
}

/** Middle value of a list, the mean of the two middle ones if it is even. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
