import type { HeadStatus } from './kernel/state.ts';

/** What one query head did. Fractions are over the sifted steps of the conversation. */
export interface HeadReport {
  status: HeadStatus;
  /** Share of the rows the head itself kept. */
  kept: number;
  /** ... and at the last sifted step. */
  lastKept: number;
  /** Mean probability mass of the rows that took part. */
  keptMass: number;
  /** Threshold of the last sifted step, a probability; null while every row is kept. */
  threshold: number | null;
  /** The fit theta = alpha * x^beta; null while nothing was fitted. */
  fit: { alpha: number; beta: number; r2: number } | null;
}

/** What one layer did. */
export interface LayerReport {
  layer: number;
  /** Mean of the heads' kept fractions. */
  keptHead: number;
  /** Share of the V rows that at least one head of a group kept: what was read. */
  keptGroup: number;
  /** [batch * queryHeads] */
  heads: HeadReport[];
  /** Kept fraction of each KV group, [batch * kvHeads]. */
  groups: number[];
}

/** What the plugin did, for the latest conversation. Plain data: `JSON.stringify` keeps all of it. */
export interface SiftReport {
  enabled: boolean;
  /** Name of the policy and what was asked of it. */
  policy: { name: string; target: string; requestedKept: number | null; warmup: number };
  runtime: { name: string; version: string | null; tested: boolean };
  /** Decode steps that sifted, and those that kept every row (see `reasons`). */
  steps: { sifted: number; dense: number };
  /** Prompts since the plugin was enabled. */
  conversations: number;
  /** Keys in the cache. */
  length: number;
  /** Mean kept fraction of the query heads over the sifted steps; null before the first. */
  keptHead: number | null;
  /** Mean share of V rows read (by at least one head of a group); null before the first sifted step. */
  keptGroup: number | null;
  /** Bytes that the plugin's kernels read of K and V, and the V bytes that they did not read. */
  bytes: { keysRead: number; valuesRead: number; valuesSaved: number };
  layers: LayerReport[];
  /** Why steps or layers were dense or left to the runtime's own kernel, with counts. */
  reasons: { reason: string; count: number }[];
}
