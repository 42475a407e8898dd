// What `npm run quality` writes and the table, the plot and the CI gate read: quality/results/{tiny,small,gate}.json.
import { z } from 'zod';

const fraction = z.number().min(0).max(1);

/** Figures of some sequences that a choice is made by, null if there are none. KL against exact attention, nats per token. */
const halfFigures = z.object({
  sequences: z.int().nonnegative(),
  ppl: z.number().positive().nullable(),
  klMean: z.number().nullable(),
  klMedian: z.number().nullable(),
  kl99: z.number().nullable(),
  /** Share of the steps whose most likely token is that of exact attention. */
  top1: fraction.nullable(),
  /** Share of the V rows that at least one head of a group keeps: what is read. Null for exact attention. */
  keptGroup: fraction.nullable(),
});

const taskFigures = z.object({
  /** Answers asked for, and those that were given exactly, by stock and by the policy, and by both or neither. */
  asked: z.int().positive(),
  stock: z.int().nonnegative(),
  exact: z.int().nonnegative(),
  agree: z.int().nonnegative(),
  /** Share of the answers' tokens that were the most likely ones. */
  tokensStock: fraction,
  tokens: fraction,
});

const qualityRow = z.object({
  policy: z.string(),
  ...halfFigures.shape,
  /** Mean kept fraction of the heads; kept probability. */
  keptHead: fraction.nullable(),
  keptMass: z.number().nullable(),
  /** Share of the V bytes, and of all K and V bytes, that were not read in the steps that sift. */
  savedV: fraction.nullable(),
  savedKv: fraction.nullable(),
  /** V rows read in each quarter of the steps, and how far the last is from the first, relative to it. */
  drift: z.array(fraction).nullable(),
  driftChange: z.number().nullable(),
  /** Kept fractions, [layers][queryHeads] and [layers][kvHeads]. */
  heads: z.array(z.array(fraction)).nullable(),
  groups: z.array(z.array(fraction)).nullable(),
  /** Bytes over all sequences, steps that keep every row (the warm-up) among them. */
  bytes: z.object({ keysRead: z.number(), valuesRead: z.number(), valuesSaved: z.number() }).nullable(),
  /** Share of the planted codes that were recalled, over all recall tasks; and by stock on the same prompts. */
  recall: fraction.nullable(),
  recallStock: fraction.nullable(),
  /** By the name of the task. */
  tasks: z.record(z.string(), taskFigures),
  /** The same figures by half of the text, where both are measured: levels are chosen on the first, confirmed on the second. */
  first: halfFigures.optional(),
  second: halfFigures.optional(),
});

const qualityResults = z.object({
  model: z.string(),
  dtype: z.string(),
  /** Where it ran: `browser` (transformers.js) or `node` (onnxruntime-web over Dawn), and the adapter. */
  machine: z.enum(['browser', 'node']),
  gpu: z.string(),
  /** Name of the text, its documents and tokens, and the half that was used. */
  text: z.object({ name: z.string(), documents: z.int(), tokens: z.int() }),
  half: z.enum(['first', 'second', 'all']),
  /** Tokens of the prompt, decode steps after it, of which `warmup` do not count. */
  prompt: z.int(),
  steps: z.int(),
  warmup: z.int(),
  /** First token of each sequence in the text. */
  starts: z.array(z.int()),
  results: z.array(qualityRow),
});

export type HalfFigures = z.infer<typeof halfFigures>;
export type TaskFigures = z.infer<typeof taskFigures>;
/** One policy over all sequences and tasks. */
export type QualityRow = z.infer<typeof qualityRow>;
/** A results file. */
export type QualityResults = z.infer<typeof qualityResults>;

/**
 * Reads the text of a results file.
 * @throws ZodError saying what is not as it must be.
 */
export const parseResults = (text: string): QualityResults => qualityResults.parse(JSON.parse(text));

/** The text of a results file, numbers to six digits; refuses what {@link parseResults} would. */
export function writeResults(results: QualityResults): string {
  const checked = qualityResults.parse(results);
  const rounded = JSON.stringify(checked, (_, value) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value,
  );
  // A line per row: the file can be read and compared.
  const { results: rows, ...head } = JSON.parse(rounded) as QualityResults;
  const lines = rows.map((row) => JSON.stringify(row)).join(',\n');
  return `${JSON.stringify(head).slice(0, -1)},"results":[\n${lines}\n]}\n`;
}
