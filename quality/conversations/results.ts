// What `npm run quality -- --conversations` writes: quality/results/conversations-*.json.
import { z } from 'zod';

const fraction = z.number().min(0).max(1.0001);

const conversationRow = z.object({
  conversation: z.string(),
  policy: z.string(),
  /** Tokens of the prompt, decode steps, and the step from which on the text is of the new kind. */
  prompt: z.int(),
  steps: z.int(),
  breakAt: z.int(),
  /** Steps at the beginning that learn: they keep every row, and do not count for KL. */
  skipped: z.int(),
  /** Perplexity of the given tokens. */
  ppl: z.number(),
  /** KL(exact || policy) of the steps, nats: mean, 99th percentile, largest. */
  klMean: z.number(),
  kl99: z.number(),
  klMax: z.number(),
  top1: fraction,
  /** Mean KL of the policy on ordinary text; null where it was not measured. */
  usual: z.number().nullable(),
  /** The longest run of steps above ten times that, and its first step; and the share of all steps that are above. */
  run: z.object({ length: z.int(), step: z.int().nullable() }).nullable(),
  above: fraction.nullable(),
  /** Mean KL of each sixteenth of the steps. */
  course: z.array(z.number()),
  /** Null for exact attention. Mean kept fraction of the heads, share of V rows read, kept mass: the mean head's and the least one's. */
  keptHead: fraction.nullable(),
  keptGroup: fraction.nullable(),
  keptMass: fraction.nullable(),
  leastMass: fraction.nullable(),
  /** Heads by status at the end, and the most that the guard had made dense at any of the looks on the way. */
  status: z.record(z.string(), z.int()).nullable(),
  guarded: z.int().nullable(),
});

const conversationResults = z.object({
  model: z.string(),
  dtype: z.string(),
  machine: z.enum(['browser', 'node']),
  gpu: z.string(),
  /** Names of the texts of prose, code and another language. */
  texts: z.object({ prose: z.string(), code: z.string(), foreign: z.string() }),
  rows: z.array(conversationRow),
});

/** One conversation under one policy. */
export type ConversationRow = z.infer<typeof conversationRow>;
/** A results file. */
export type ConversationResults = z.infer<typeof conversationResults>;

/**
 * Reads the text of a results file.
 * @throws ZodError saying what is not as it must be.
 */
export const parseConversations = (text: string): ConversationResults =>
  conversationResults.parse(JSON.parse(text));

/** The text of a results file, a line per row, numbers to four digits. */
export function writeConversations(results: ConversationResults): string {
  const { rows, ...head } = conversationResults.parse(results);
  const line = (row: ConversationRow) =>
    JSON.stringify(row, (_, value) =>
      typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value,
    );
  return `${JSON.stringify(head).slice(0, -1)},"rows":[\n${rows.map(line).join(',\n')}\n]}\n`;
}
