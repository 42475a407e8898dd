// The study of both sides of the cache (quality/study/screened_study.py) as data, and its tables in docs/quality.md.
import { z } from 'zod';
import { markdownTable } from '../../lab/markdown.ts';

const share = z.number().min(0);
const figures = z.object({
  sequences: z.int(),
  ppl: z.number(),
  klMean: z.number(),
  top1: z.number(),
  // What exact attention does not have.
  bytesShadow: share.optional(),
  bytesK: share.optional(),
  bytesV: share.optional(),
  bytesFixed: share.optional(),
});

/** Reads all of K: the policies of quality/study/policies.py. */
const readsKeys = z.object({ target: z.string(), v: z.number() });
/** A shadow decides: [bits or 'exact', level], in the order in which rows get better scores. */
const stage = z.tuple([z.union([z.int(), z.literal('exact')]), z.number()]);
const decides = z.strictObject({
  c: z.number(),
  stages: z.array(stage).min(2),
  v4: z.number().optional(),
  again: z.literal(1).optional(),
});
/** K and V in so many bits, without exact rows. */
const stores = z.strictObject({ stored: z.int() });
const policy = z.union([decides, stores, readsKeys]);

const textRow = z.object({
  run: z.enum(['frontier', 'length', 'stress']),
  model: z.string(),
  prompt: z.int(),
  steps: z.int(),
  policy: policy.nullable(),
  first: figures.optional(),
  second: figures.optional(),
});
const taskRow = z.object({
  run: z.literal('tasks'),
  model: z.string(),
  task: z.string(),
  policy: policy.nullable(),
  asked: z.int(),
  right: z.int(),
  unlike: z.int(),
});
const results = z.object({
  plan: z.string(),
  machine: z.string(),
  rows: z.array(z.union([taskRow, textRow])),
});

export type ScreenedPolicy = z.infer<typeof policy>;
export type ScreenedFigures = z.infer<typeof figures>;
export type ScreenedTextRow = z.infer<typeof textRow>;
type TaskRow = z.infer<typeof taskRow>;
/** The file quality/results/screened.json. */
export type ScreenedResults = z.infer<typeof results>;

export const parseScreened = (text: string): ScreenedResults => results.parse(JSON.parse(text));

/** What the tables call a policy. */
export function screenedName(p: ScreenedPolicy | null): string {
  if (p === null) return 'exact';
  if ('stored' in p)
    return p.stored === 8 ? '8 bits stored, dense' : `KIVI-like ${p.stored} bits stored, dense`;
  if ('target' in p) return p.target === 'uniform' ? `V alone, c = ${p.v}` : `the paper's policy, τ ${p.v}`;
  const { c, stages, v4, again } = p;
  const [[bits], [to, level]] = [stages[0]!, stages[1]!];
  if (v4 !== undefined) return `graded: 2, 6 bits, then exact, V in 4 bits, c = ${c}`;
  if (bits === 2 && to === 'exact' && level === c)
    return `2-bit shadow, c = ${c}${again ? ', V judged again' : ''}`;
  return `${bits}-bit shadow, exact K from ${level}/S, c = ${c}`;
}

/**
 * What a policy adds to the memory of K and V in f16, as a share of it, or for a stored cache what it is of that.
 * @param size head size: the one-byte scale of a row is shared by so many channels
 */
export function memoryOf(p: ScreenedPolicy | null, size: number): { more: number } | { whole: number } {
  const row = 4 * size;
  if (p === null || 'target' in p) return { more: 0 };
  if ('stored' in p) {
    const { stored } = p;
    // 8 bits: a scale in f16 for 32 channels. Otherwise smallest and largest element in f16: of 32 rows of each channel of K, and of
    // each row of V.
    if (stored === 8) return { whole: (2 * (size + size / 16)) / row };
    return { whole: ((2 * size * stored) / 8 + size / 8 + 4) / row };
  }
  const { stages, v4 } = p;
  const bits = Math.max(...stages.map(([of]) => (of === 'exact' ? 0 : of)));
  return { more: ((bits * size) / 8 + 1 + (v4 === undefined ? 0 : size / 2)) / row };
}

/** Bytes that are read for each row: of the shadow or the stored cache, exact K and exact V, over those of K and V in f16. */
export const bytesOf = (f: ScreenedFigures): number =>
  f.bytesShadow === undefined ? 1 : f.bytesShadow + f.bytesK! + f.bytesV!;

const percent = (value: number) => `${(100 * value).toFixed(1)}%`;
const kl = (value: number) => value.toFixed(value >= 0.001 ? 4 : 5);
const NOT_MEASURED = 'Not measured yet.';
/** The heads of both models have so many channels. */
const HEAD_SIZE = 64;

const isText = (row: ScreenedResults['rows'][number]): row is ScreenedTextRow => row.run !== 'tasks';
const textRows = ({ rows }: ScreenedResults, run: ScreenedTextRow['run'], model: string) =>
  rows.filter(isText).filter((row) => row.run === run && row.model === model);

/** A figure of either half of the text. */
function halves(row: ScreenedTextRow | undefined, text: (f: ScreenedFigures) => string): string {
  return [row?.first, row?.second].map((part) => (part ? text(part) : '–')).join(' / ');
}

const same = (a: ScreenedPolicy | null, b: ScreenedPolicy | null) => screenedName(a) === screenedName(b);

/** The frontier: bytes, KL and top-1 of every policy on both models, first half / second half. */
export function screenedTable(study: ScreenedResults): string {
  const [small, tiny] = [textRows(study, 'frontier', 'small'), textRows(study, 'frontier', 'tiny')];
  const longest = small.length > tiny.length ? small : tiny;
  if (longest.length === 0) return NOT_MEASURED;
  const cells = (row: ScreenedTextRow | undefined) => [
    halves(row, (f) => percent(bytesOf(f))),
    halves(row, (f) => kl(f.klMean)),
    halves(row, (f) => percent(f.top1)),
  ];
  return markdownTable(
    [
      ...['policy', 'memory', 'small: bytes', 'mean KL', 'same top-1'],
      ...['tiny: bytes', 'mean KL', 'same top-1'],
    ],
    longest
      .filter(({ policy }) => policy !== null)
      .map(({ policy }) => {
        const memory = memoryOf(policy, HEAD_SIZE);
        const find = (rows: ScreenedTextRow[]) => rows.find((row) => same(row.policy, policy));
        return [
          screenedName(policy),
          'more' in memory ? `+${percent(memory.more)}` : `${percent(memory.whole)} in all`,
          ...cells(find(small)),
          ...cells(find(tiny)),
        ];
      }),
  );
}

/** A row for each length of the cache: bytes and KL of every policy, small model. */
export function screenedLengthsTable(study: ScreenedResults): string {
  const rows = textRows(study, 'length', 'small').filter(({ policy }) => policy !== null);
  if (rows.length === 0) return NOT_MEASURED;
  const names = [...new Set(rows.map(({ policy }) => screenedName(policy)))];
  const prompts = [...new Set(rows.map(({ prompt }) => prompt))];
  return markdownTable(
    ['keys at the end', ...names.flatMap((name) => [`${name}: bytes`, 'mean KL'])],
    prompts.map((prompt) => {
      const own = rows.filter((row) => row.prompt === prompt);
      return [
        (prompt + own[0]!.steps).toLocaleString('en'),
        ...names.flatMap((name) => {
          const row = own.find(({ policy }) => screenedName(policy) === name);
          return [halves(row, (f) => percent(bytesOf(f))), halves(row, (f) => kl(f.klMean))];
        }),
      ];
    }),
  );
}

/** KL with eightfold outlier channels beside KL without, for each model and policy. */
export function screenedStressTable(study: ScreenedResults): string {
  const rows = ['small', 'tiny'].flatMap((model) =>
    textRows(study, 'stress', model)
      .filter(({ policy }) => policy !== null)
      .map((row) => {
        const plain = textRows(study, 'frontier', model).find((other) => same(other.policy, row.policy));
        return [
          ...[model, screenedName(row.policy)],
          ...[plain, row].flatMap((of) => [
            halves(of, (f) => percent(bytesOf(f))),
            halves(of, (f) => kl(f.klMean)),
          ]),
        ];
      }),
  );
  if (rows.length === 0) return NOT_MEASURED;
  return markdownTable(
    ['model', 'policy', 'bytes', 'mean KL', 'with outliers: bytes', 'with outliers: mean KL'],
    rows,
  );
}

/** Recall: right answers of each task, and how many answers in all are not as exact attention's. */
export function screenedTasksTable({ rows }: ScreenedResults): string {
  const tasks = rows.filter((row): row is TaskRow => row.run === 'tasks');
  const models = [...new Set(tasks.map(({ model }) => model))];
  const tables = models.map((model) => {
    const own = tasks.filter((row) => row.model === model);
    const names = [...new Set(own.map(({ task }) => task))];
    const asked = (name: string) => own.find(({ task }) => task === name)!.asked;
    const policies = [...new Set(own.map(({ policy }) => screenedName(policy)))];
    return markdownTable(
      [`${model}: policy`, ...names.map((name) => `${name} (of ${asked(name)})`), 'unlike exact'],
      policies.map((name) => {
        const found = own.filter(({ policy }) => screenedName(policy) === name);
        return [
          name,
          ...names.map((task) => String(found.find((row) => row.task === task)?.right ?? '–')),
          String(found.reduce((sum, { unlike }) => sum + unlike, 0)),
        ];
      }),
    );
  });
  return tables.length === 0 ? NOT_MEASURED : tables.join('\n\n');
}

/** What was measured, in a sentence for each model. */
export function screenedSettings(study: ScreenedResults): string {
  const count = (f: ScreenedFigures | undefined) => f?.sequences ?? 0;
  const models = ['small', 'tiny'].flatMap((model) => {
    const [row] = textRows(study, 'frontier', model);
    if (!row) return [];
    const { prompt, steps, first, second } = row;
    const [keys, all] = [prompt, steps].map((value) => value.toLocaleString('en'));
    return `The ${model} model decodes ${all} steps after prompts of ${keys} tokens, in ${count(first)} + ${count(second)} sequences of the two halves of dev.txt.`;
  });
  const machine = study.machine === 'CPU' ? 'a CPU' : `an ${study.machine}`;
  return [`The tables are of the ${study.plan} plan, run on ${machine}.`, ...models].join(' ');
}
