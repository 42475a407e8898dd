import { mean, quantile } from '../../lab/statistics.ts';
import type { SiftReport } from '../../src/report.ts';
import type { HalfFigures, QualityRow } from '../report/results.ts';

/** What the plugin's report says about one sequence. Fractions are over the steps after the warm-up. */
export interface SiftFigures {
  keptHead: number;
  /** Share of V rows that at least one head of a group kept: what was read. */
  keptGroup: number;
  keptMass: number;
  /** The kept mass of the head that keeps least. */
  leastMass: number;
  /** The most heads that kept every row, because of the guard or for want of a fit, at any of the reports. */
  guarded: number;
  /** Share of V rows read in each quarter of the steps, or in each of the parts that were asked for. */
  drift: number[];
  /** Kept fractions, [layers][queryHeads] and [layers][kvHeads]. */
  heads: number[][];
  groups: number[][];
  /** Bytes over the whole sequence, including the warm-up, whose steps keep every row. */
  bytes: { keysRead: number; valuesRead: number; valuesSaved: number };
  /** How many heads have each status at the end. */
  status: Record<string, number>;
}

/** Figures of one sequence, one for each step that counts. */
export interface SequenceFigures {
  /** Negative log-probability of the text's next token, nats. */
  nll: number[];
  /** KL(exact || policy), nats. */
  kl: number[];
  /** 1 where the most likely token is that of exact attention. */
  same: number[];
  sift: SiftFigures | null;
}

/**
 * Takes the figures out of the report at the end of a sequence.
 * @param marks reports taken at the end of the warm-up and after each part of the steps that count.
 */
export function siftFigures(report: SiftReport, marks: readonly SiftReport[]): SiftFigures {
  const drift = marks.slice(1).map(({ bytes }, i) => {
    const from = marks[i]!.bytes;
    return (bytes.valuesRead - from.valuesRead) / (bytes.keysRead - from.keysRead);
  });
  const heads = report.layers.flatMap((layer) => layer.heads);
  const status: Record<string, number> = {};
  for (const head of heads) status[head.status] = (status[head.status] ?? 0) + 1;
  const dense = ({ layers }: SiftReport) =>
    layers.flatMap((layer) => layer.heads).filter(({ status }) => status === 'guarded' || status === 'unfit')
      .length;
  return {
    keptHead: report.keptHead ?? 1,
    keptGroup: report.keptGroup ?? 1,
    keptMass: mean(heads.map((head) => head.keptMass)),
    leastMass: Math.min(...heads.map((head) => head.keptMass)),
    guarded: Math.max(...[...marks, report].map(dense)),
    drift,
    heads: report.layers.map((layer) => layer.heads.map((head) => head.kept)),
    groups: report.layers.map((layer) => layer.groups),
    bytes: report.bytes,
    status,
  };
}

/** The figures of some sequences by which a policy is chosen. */
function brief(sequences: readonly SequenceFigures[]): HalfFigures {
  const all = (name: 'nll' | 'kl' | 'same') => sequences.flatMap((sequence) => sequence[name]);
  const kl = all('kl');
  const sift = sequences.map((sequence) => sequence.sift).filter((figures) => figures !== null);
  const any = (figure: () => number) => (kl.length > 0 ? figure() : null);
  return {
    sequences: sequences.length,
    ppl: any(() => Math.exp(mean(all('nll')))),
    klMean: any(() => mean(kl)),
    klMedian: any(() => quantile(kl, 0.5)),
    kl99: any(() => quantile(kl, 0.99)),
    top1: any(() => mean(all('same'))),
    keptGroup: sift.length ? mean(sift.map((figures) => figures.keptGroup)) : null,
  };
}

/**
 * One row of a table from the sequences of a policy.
 * @param halves the half of the text that each sequence is from, where both are measured.
 */
export function summarise(
  policy: string,
  sequences: readonly SequenceFigures[],
  halves?: readonly ('first' | 'second')[],
): QualityRow {
  const sift = sequences.map((sequence) => sequence.sift).filter((figures) => figures !== null);
  const over = (pick: (figures: SiftFigures) => number) => (sift.length ? mean(sift.map(pick)) : null);
  const list = (pick: (figures: SiftFigures) => number[]) =>
    sift.length ? pick(sift[0]!).map((_, i) => mean(sift.map((figures) => pick(figures)[i]!))) : null;
  const matrix = (pick: (figures: SiftFigures) => number[][]) =>
    sift.length ? pick(sift[0]!).map((_, layer) => list((figures) => pick(figures)[layer]!)!) : null;
  const total = (name: keyof SiftFigures['bytes']) =>
    sift.reduce((sum, figures) => sum + figures.bytes[name], 0);
  const figures = brief(sequences);
  const { keptGroup } = figures;
  const half = (name: 'first' | 'second') => brief(sequences.filter((_, i) => halves?.[i] === name));
  const drift = list((figures) => figures.drift);
  return {
    policy,
    ...figures,
    keptHead: over((figures) => figures.keptHead),
    keptMass: over((figures) => figures.keptMass),
    savedV: keptGroup === null ? null : 1 - keptGroup,
    savedKv: keptGroup === null ? null : (1 - keptGroup) / 2,
    drift,
    driftChange: drift === null ? null : drift.at(-1)! / drift[0]! - 1,
    heads: matrix((figures) => figures.heads),
    groups: matrix((figures) => figures.groups),
    bytes: sift.length
      ? {
          keysRead: total('keysRead'),
          valuesRead: total('valuesRead'),
          valuesSaved: total('valuesSaved'),
        }
      : null,
    recall: null,
    recallStock: null,
    tasks: {},
    ...(halves ? { first: half('first'), second: half('second') } : {}),
  };
}
