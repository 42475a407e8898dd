// The record of sequences that were run: docs/trust.json, and its table in docs/trust.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { markdownTable } from '../../lab/markdown.ts';
import { ROOT } from '../../lab/root.ts';
import { fillMarkers } from '../../quality/report/tables.ts';

const DOCUMENT = join(ROOT, 'docs/trust.md');
const RESULTS = join(ROOT, 'docs/trust.json');
const REGRESSIONS = join(ROOT, 'e2e/life/regressions.json');

const distance = z.strictObject({ exact: z.number(), sifted: z.number() });
const counts = z.strictObject({
  actions: z.number(),
  calls: z.number(),
  steps: z.number(),
  ties: z.number(),
  distance,
});
const run = z.strictObject({
  /** Sequences have the seeds from `seed` to `seed + sequences - 1`. */
  seed: z.number(),
  sequences: z.number(),
  failed: z.array(z.number()),
  counts,
  /** Of the first and the last sequence. */
  began: z.string(),
  ended: z.string(),
  minutes: z.number(),
  commit: z.string(),
  versions: z.record(z.string(), z.string()),
  adapter: z.string(),
});
const results = z.record(z.string(), z.array(run));
export type Run = z.infer<typeof run>;

/** What was run, by runtime. */
export const readResults = (): Record<string, Run[]> =>
  existsSync(RESULTS) ? results.parse(JSON.parse(readFileSync(RESULTS, 'utf8'))) : {};

/** Keeps the runs of a runtime, and fills the table of docs/trust.md. */
export function keepRuns(runtime: string, runs: readonly Run[]): void {
  writeFileSync(RESULTS, `${JSON.stringify({ ...readResults(), [runtime]: runs }, undefined, 2)}\n`);
  writeFileSync(DOCUMENT, filledDocument());
}

/** docs/trust.md with its table as the results have it. */
export const filledDocument = (): string =>
  fillMarkers(readFileSync(DOCUMENT, 'utf8'), { sequences: sequencesTable(readResults()) });

/** The table of all runs. */
export function sequencesTable(results: Readonly<Record<string, readonly Run[]>>): string {
  const rows = Object.entries(results).flatMap(([runtime, runs]) =>
    runs.map(({ seed, sequences, failed, counts, began, ended, minutes, adapter, versions, commit }) => [
      runtime,
      `${seed}–${seed + sequences - 1}`,
      sequences - failed.length,
      failed.length,
      counts.actions,
      counts.calls,
      counts.steps,
      counts.ties,
      counts.distance.exact.toExponential(1),
      counts.distance.sifted.toExponential(1),
      began.slice(0, 10) === ended.slice(0, 10)
        ? began.slice(0, 10)
        : `${began.slice(0, 10)}–${ended.slice(0, 10)}`,
      minutes.toFixed(0),
      `${adapter}; ${Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}; commit ${commit.slice(0, 7)}`,
    ]),
  );
  const head = ['runtime', 'seeds', 'right', 'failed', 'actions', 'calls', 'steps', 'ties'];
  return markdownTable(
    [...head, 'farthest from stock', 'farthest from a fresh sift', 'date', 'minutes', 'on'],
    rows,
  );
}

/** Sequences that failed once. */
export interface Regression {
  readonly runtime: 'transformers.js' | 'web-llm';
  readonly seed: number;
  /** What was wrong. */
  readonly error: string;
  readonly actions: readonly unknown[];
}

export const readRegressions = (): Regression[] =>
  JSON.parse(readFileSync(REGRESSIONS, 'utf8')) as Regression[];

/** Keeps a sequence that failed, for CI to replay. */
export function keepRegression(regression: Regression): void {
  const others = readRegressions().filter(
    ({ runtime, actions }) =>
      runtime !== regression.runtime || JSON.stringify(actions) !== JSON.stringify(regression.actions),
  );
  writeFileSync(REGRESSIONS, `${JSON.stringify([...others, regression], undefined, 2)}\n`);
}
