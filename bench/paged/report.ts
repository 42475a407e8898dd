import { markdownTable } from '../../lab/markdown.ts';
import type { Timing } from '../timing/timing.ts';

/** Microseconds of one layer's attention over a paged cache. */
export interface PagedRow {
  model: string;
  dtype: string;
  heads: string;
  headSize: number;
  length: number;
  /** Share of the V rows that the KV groups read. */
  keptGroup: number;
  /** A kernel of ours on web-llm's grid: one workgroup for every KV head. */
  stockUs: Timing;
  denseUs: Timing;
  siftUs: Timing;
  sets: number;
  /** Errors of the first KV group against the f64 reference, relative to a head's largest element. */
  errors: { stock: number; dense: number; sift: number };
}

/** The rows as a Markdown table. */
export function pagedMarkdown(rows: readonly PagedRow[]): string {
  const us = ({ median, p10, p90 }: Timing) => `${median.toFixed(1)} (${p10.toFixed(1)}–${p90.toFixed(1)})`;
  const head = ['model', 'heads', 'type', 'keys', 'V read', 'stock grid µs (p10–p90)', 'dense µs', 'sift µs'];
  const ratios = ['stock / dense', 'stock / sift', 'dense / sift'];
  const lines = rows.map((r) => [
    ...[r.model, r.heads, r.dtype, r.length, `${(100 * r.keptGroup).toFixed(1)}%`],
    ...[us(r.stockUs), us(r.denseUs), us(r.siftUs)],
    (r.stockUs.median / r.denseUs.median).toFixed(2),
    (r.stockUs.median / r.siftUs.median).toFixed(2),
    (r.denseUs.median / r.siftUs.median).toFixed(2),
  ]);
  return markdownTable([...head, ...ratios], lines);
}
