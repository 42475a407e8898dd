import { markdownTable } from '../../lab/markdown.ts';
import { type AttentionShape, shapeConstants } from '../../src/kernel/shape.ts';
import { shadowRowBytes } from '../../src/kernel/step/shadow.ts';
import { ESTIMATE_KEYS } from '../../src/policy/index.ts';
import type { Timing } from '../timing/timing.ts';
import type { SiftForm } from './our-attention.ts';
import type { Errors } from './verify.ts';

/** One line of the results. Times are microseconds of one layer's attention in a decode step. */
export interface Row {
  gpu: string;
  dtype: string;
  heads: number;
  kvHeads: number;
  headSize: number;
  length: number;
  /** Standard normal K and V, or those of a model. */
  scores: 'recorded' | 'normal';
  /** Share of rows that each head was to drop, or fraction of V rows that a KV group was to read. */
  tau: number | null;
  kept: number | null;
  /** The c of a uniform level, if there was one: rows with a probability of at least c/length are read. */
  level: number | null;
  form: SiftForm;
  /** The fraction of the V rows that the KV groups read, and the fraction that each head kept by itself. */
  keptGroup: number;
  keptHead: number;
  stockUs: number | null;
  denseUs: number;
  siftUs: number;
  /** The step that chooses rows by the shadow of K at the same level; null where there is none. */
  screenedUs: number | null;
  /** Bytes that it reads of the shadow, of K and of V, over those of all K and V. */
  kvBytes: number | null;
  warmupUs: number;
  /** How long the copy bandwidth needs for K and the kept V rows; in two passes also for the scores, which are written and read. */
  floorUs: number;
  /** How long the copy bandwidth needs for K and V. */
  denseFloorUs: number;
  /** 10th and 90th percentile of each median, and the number of samples. */
  spread: Record<'stock' | 'dense' | 'sift' | 'screened' | 'warmup', Timing | null>;
  /** Buffer sets in rotation, and calls in a sample. */
  sets: number;
  calls: number;
  errors: Errors;
}

/**
 * Bytes that a step with the shadow reads, over those of all K and V.
 *
 * @param read the share of the rows whose exact K and V are read, the edge keys among them
 */
export function screenedBytes(shape: AttentionShape, length: number, read: number): number {
  const row = 2 * shape.headSize * shapeConstants(shape).elementBytes;
  const { sink, newest } = ESTIMATE_KEYS;
  const coded = Math.max(0, length - sink - newest) / length;
  return read + (coded * shadowRowBytes(shape)) / row;
}

export function floors(
  row: Pick<Row, 'dtype' | 'heads' | 'kvHeads' | 'headSize' | 'length' | 'keptGroup' | 'form'>,
  gigabytesPerSecond: number,
): Pick<Row, 'floorUs' | 'denseFloorUs'> {
  const k = row.length * row.kvHeads * row.headSize * (row.dtype === 'f16' ? 2 : 4);
  const scores = row.form === 'two-pass' ? 8 * row.length * row.heads : 0;
  const us = (bytes: number) => bytes / gigabytesPerSecond / 1000;
  return { floorUs: us(k * (1 + row.keptGroup) + scores), denseFloorUs: us(2 * k) };
}

const number = (value: number | null): string =>
  value === null ? '–' : value < 100 ? value.toFixed(1) : value.toFixed(0);

const range = (timing: Timing | null): string =>
  timing ? `${number(timing.median)} (${number(timing.p10)}–${number(timing.p90)})` : '–';

/** The rows as a Markdown table. */
export function markdown(rows: readonly Row[]): string {
  const head = [
    'type',
    'heads',
    'size',
    'keys',
    'scores',
    'tau',
    'form',
    'V read',
    'stock µs (p10–p90)',
    'dense µs',
    'sift µs',
    'shadow µs',
    'warm-up µs',
    'floor dense / sift µs',
    'stock / sift',
    'dense / sift',
    'dense / shadow',
    'K and V bytes with the shadow',
  ];
  const lines = rows.map((row) => [
    row.dtype,
    `${row.heads}/${row.kvHeads}`,
    row.headSize,
    row.length,
    row.scores,
    row.level ? `${row.level}/S` : (row.tau ?? '–'),
    row.form,
    `${(100 * row.keptGroup).toFixed(1)}%`,
    range(row.spread.stock),
    range(row.spread.dense),
    range(row.spread.sift),
    range(row.spread.screened),
    range(row.spread.warmup),
    `${number(row.denseFloorUs)} / ${number(row.floorUs)}`,
    row.stockUs === null ? '–' : (row.stockUs / row.siftUs).toFixed(2),
    (row.denseUs / row.siftUs).toFixed(2),
    (row.screenedUs ?? null) === null ? '–' : (row.denseUs / row.screenedUs!).toFixed(2),
    (row.kvBytes ?? null) === null ? '–' : `${(100 * row.kvBytes!).toFixed(1)}%`,
  ]);
  return markdownTable(head, lines);
}
