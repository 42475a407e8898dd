// The record of soaks: quality/results/soak.json, and its table in docs/trust.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { markdownTable } from '../../lab/markdown.ts';
import { ROOT } from '../../lab/root.ts';
import { fillMarkers } from '../../quality/report/tables.ts';

const DOCUMENT = join(ROOT, 'docs/trust.md');
const RECORD = join(ROOT, 'quality/results/soak.json');

/** Rounds that are kept of a soak: the first ones, and others spread over the rest. */
const KEPT_ROUNDS = 12;

const round = z.object({
  soaked: z.number(),
  heap: z.number(),
  buffers: z.object({ count: z.number(), bytes: z.number() }),
  replaced: z.array(z.string()),
  report: z.object({
    size: z.number(),
    conversations: z.number(),
    steps: z.number(),
    stockSteps: z.number(),
  }),
  errors: z.array(z.string()),
});
const run = z.object({
  date: z.string(),
  model: z.string(),
  dtype: z.string(),
  quality: z.string(),
  prompt: z.number(),
  count: z.number(),
  gpu: z.string(),
  conversations: z.number(),
  compared: z.number(),
  unlike: z.array(z.number()),
  /** What was not as it must be. */
  found: z.array(z.string()),
  seconds: z.number(),
  rounds: z.array(round),
});
export type SoakRun = z.infer<typeof run>;

/** Reads what `npm run soak -- --json FILE` wrote. @throws ZodError saying what is not as it must be. */
export const parseSoak = (text: string): SoakRun => run.parse(JSON.parse(text));

const readRecord = (): SoakRun[] =>
  existsSync(RECORD) ? z.array(run).parse(JSON.parse(readFileSync(RECORD, 'utf8'))) : [];

/** The first, the second and the last of a list, and others between them at even distances. */
export function spread<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  const rest = Array.from({ length: count - 1 }, (_, i) =>
    Math.round(1 + (i * (list.length - 2)) / (count - 2)),
  );
  return [0, ...rest].map((i) => list[i]!);
}

/** Adds a soak to the record, in the place of one on the same GPU, model and type, and fills the table of docs/trust.md. */
export function keepSoak(soak: SoakRun): void {
  const others = readRecord().filter(
    ({ gpu, model, dtype }) => gpu !== soak.gpu || model !== soak.model || dtype !== soak.dtype,
  );
  const kept = { ...soak, rounds: spread(soak.rounds, KEPT_ROUNDS) };
  writeFileSync(RECORD, `${JSON.stringify([...others, kept], null, 1)}\n`);
  writeFileSync(DOCUMENT, filledDocument());
}

/** docs/trust.md with the table of the soaks. */
export const filledDocument = (): string =>
  fillMarkers(readFileSync(DOCUMENT, 'utf8'), { soak: soakTable(readRecord()) });

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(2);

/** The table: of each soak the second round, since the first compiles and grows what is kept, and the last. */
export function soakTable(runs: readonly SoakRun[]): string {
  const head = [
    'model',
    'steps',
    'conversations',
    'done again, unlike',
    'our buffers',
    'heap, MB',
    'report, characters',
  ];
  return markdownTable(
    [...head, 'replaced, errors', 'seconds', 'date', 'on'],
    runs.map(({ model, dtype, rounds, conversations, compared, unlike, seconds, date, gpu, quality }) => {
      const second = rounds[1] ?? rounds[0]!;
      const last = rounds.at(-1)!;
      const both = (text: (of: SoakRun['rounds'][number]) => string | number) =>
        `${text(second)} → ${text(last)}`;
      return [
        `${model} (${dtype}), ${quality}`,
        both(({ soaked }) => soaked.toLocaleString('en')),
        conversations,
        `${compared}, ${unlike.length}`,
        both(({ buffers }) => `${buffers.count} (${megabytes(buffers.bytes)} MB)`),
        both(({ heap }) => megabytes(heap)),
        both(({ report }) => report.size.toLocaleString('en')),
        `${last.replaced.length}, ${rounds.reduce((sum, { errors }) => sum + errors.length, 0)}`,
        seconds,
        date.slice(0, 10),
        gpu,
      ];
    }),
  );
}
