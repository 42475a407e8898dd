import type { SiftReport } from '../../../src/index.ts';

/** What the charts show of one moment. */
export interface Point {
  /** Decode step. */
  step: number;
  /** Geometric mean and range of the heads' thresholds; null while every row is kept. */
  threshold: { mean: number; low: number; high: number } | null;
  /** 1 / length: the threshold that asks for the average probability. */
  uniform: number;
  /** Mean share of the rows that a head kept at this step. */
  keptHead: number;
  /** Share of the V rows that were read since the last point. */
  keptGroup: number;
}

/** Collects reports of one generation as points of the charts. */
export class History {
  readonly points: Point[] = [];
  private previous: SiftReport | undefined;

  add(report: SiftReport): void {
    const step = report.steps.sifted + report.steps.dense;
    if (report.layers.length === 0 || step <= (this.points.at(-1)?.step ?? 0)) return;
    const { warmup } = report.policy;
    const sifting = report.steps.sifted > 0;
    const last = this.points.at(-1)?.step ?? 0;
    if (sifting && last < warmup && warmup < step) {
      // No reading is needed to know the end of the warm-up: every row was kept until then.
      const uniform = 1 / (report.length - (step - warmup));
      this.points.push({ step: warmup, threshold: null, uniform, keptHead: 1, keptGroup: 1 });
    }
    const heads = report.layers.flatMap((layer) => layer.heads);
    this.points.push({
      step,
      threshold: sifting ? spread(heads.map((head) => head.threshold)) : null,
      uniform: 1 / report.length,
      keptHead: sifting ? heads.reduce((sum, head) => sum + head.lastKept, 0) / heads.length : 1,
      keptGroup: this.readSince(report),
    });
    this.previous = report;
  }

  private readSince(report: SiftReport): number {
    const { previous } = this;
    if (report.keptGroup === null) return 1;
    if (!previous || previous.steps.sifted === 0) return report.keptGroup;
    const read = report.bytes.valuesRead - previous.bytes.valuesRead;
    const saved = report.bytes.valuesSaved - previous.bytes.valuesSaved;
    return read + saved > 0 ? read / (read + saved) : report.keptGroup;
  }
}

function spread(thresholds: (number | null)[]): Point['threshold'] {
  const known = thresholds.filter((value): value is number => value !== null && value > 0);
  if (known.length === 0) return null;
  const logs = known.map(Math.log);
  return {
    mean: Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length),
    low: Math.min(...known),
    high: Math.max(...known),
  };
}
