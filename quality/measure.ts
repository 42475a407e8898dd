import type { SiftReport } from '../src/report.ts';

/** What the plugin's report says about one sequence; fractions are over the steps after the warm-up. */
export interface SiftFigures {
  keptHead: number;
  /** Share of V rows that at least one head of a group kept: what was read. */
  keptGroup: number;
  keptMass: number;
  /** Share of V rows read in each quarter of the steps. */
  drift: number[];
  /** [layers][queryHeads] and [layers][kvHeads]. */
  heads: number[][];
  groups: number[][];
  /** Status of the heads at the end, counted. */
  status: Record<string, number>;
}

/** Step by step, over the steps that count. */
export interface SequenceFigures {
  /** Negative log-probability of the text's next token, nats. */
  nll: number[];
  /** KL(exact || policy), nats. */
  kl: number[];
  /** 1 where the most likely token is that of exact attention. */
  same: number[];
  sift: SiftFigures | null;
}

/** Figures of one policy over all sequences. */
export interface QualityFigures {
  policy: string;
  sequences: number;
  ppl: number;
  klMean: number;
  klMedian: number;
  kl99: number;
  /** Share of the steps whose most likely token is that of exact attention. */
  top1: number;
  /** Mean kept fraction of the heads, and share of V rows that at least one head of a group kept; null for exact attention. */
  keptHead: number | null;
  keptGroup: number | null;
  keptMass: number | null;
  /** Share of the V bytes, and of all KV bytes, that were not read. */
  savedV: number | null;
  savedKv: number | null;
  /** V rows read in each quarter of the steps, and by layer. */
  drift: number[] | null;
  groupByLayer: number[] | null;
  /** Codes recalled of those that were asked, where tasks were run. */
  recall?: string;
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

/** The q-quantile of a list, linear between order statistics; the median for 0.5. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (at - Math.floor(at)) * (sorted[Math.ceil(at)]! - low);
}

export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** @param marks reports taken at the end of the warm-up and after each quarter of the steps that count. */
export function siftFigures(report: SiftReport, marks: readonly SiftReport[]): SiftFigures {
  const drift = marks.slice(1).map(({ bytes }, i) => {
    const from = marks[i]!.bytes;
    return (bytes.valuesRead - from.valuesRead) / (bytes.keysRead - from.keysRead);
  });
  const heads = report.layers.flatMap((layer) => layer.heads);
  const status: Record<string, number> = {};
  for (const head of heads) status[head.status] = (status[head.status] ?? 0) + 1;
  return {
    keptHead: report.keptHead ?? 1,
    keptGroup: report.keptGroup ?? 1,
    keptMass: mean(heads.map((head) => head.keptMass)),
    drift,
    heads: report.layers.map((layer) => layer.heads.map((head) => head.kept)),
    groups: report.layers.map((layer) => layer.groups),
    status,
  };
}

/** One row of a table from the sequences of a policy. */
export function summarise(policy: string, sequences: readonly SequenceFigures[]): QualityFigures {
  const all = (name: 'nll' | 'kl' | 'same') => sequences.flatMap((sequence) => sequence[name]);
  const sift = sequences.map((sequence) => sequence.sift).filter((figures) => figures !== null);
  const over = (pick: (figures: SiftFigures) => number) => (sift.length ? mean(sift.map(pick)) : null);
  const list = (pick: (figures: SiftFigures) => number[]) =>
    sift.length ? pick(sift[0]!).map((_, i) => mean(sift.map((figures) => pick(figures)[i]!))) : null;
  const keptGroup = over((figures) => figures.keptGroup);
  const kl = all('kl');
  return {
    policy,
    sequences: sequences.length,
    ppl: Math.exp(mean(all('nll'))),
    klMean: mean(kl),
    klMedian: quantile(kl, 0.5),
    kl99: quantile(kl, 0.99),
    top1: mean(all('same')),
    keptHead: over((figures) => figures.keptHead),
    keptGroup,
    keptMass: over((figures) => figures.keptMass),
    savedV: keptGroup === null ? null : 1 - keptGroup,
    savedKv: keptGroup === null ? null : (1 - keptGroup) / 2,
    drift: list((figures) => figures.drift),
    groupByLayer: list((figures) => figures.groups.map(mean)),
  };
}
