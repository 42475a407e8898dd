import { z } from 'zod';

const milliseconds = z.number().positive();
const share = z.number().min(0).max(1);
const name = z.string().min(1).max(200);

/** One model at one length, decoded in one way. Times are those of the page, as a user has them. */
const row = z.strictObject({
  model: name,
  /** Keys in the cache when decoding begins. */
  context: z.int().positive(),
  /** The keys were given as a past; otherwise they are those of a prompt that ran. */
  past: z.boolean(),
  /** `stock`, or the options of the plugin. */
  variant: name,
  /** Milliseconds a token: the median of the turns' medians, and the 90th percentile of all steps that were timed. */
  msMedian: milliseconds,
  msP90: milliseconds,
  /** The median of each turn. */
  turns: z.array(milliseconds).min(1),
  /** Steps that were timed in each turn. */
  steps: z.int().positive(),
  /** The first decode step: the median of the turns. */
  firstStepMs: milliseconds,
  /** From the call to the first token; null where no prompt ran. */
  firstTokenMs: milliseconds.nullable(),
  /** `enableSift`, the median of the turns; null for stock. */
  enableMs: milliseconds.nullable(),
  /** Share of the V rows that were read in steps that sifted; null where none did. */
  keptGroup: share.nullable(),
  /** Steps that sifted, of all that were decoded in the last turn. */
  siftedSteps: z.int().nonnegative(),
  /** Where K and V lie: `shared` is written in place, `stock` is the runtime's. */
  cache: z.enum(['shared', 'stock']),
  /** Milliseconds a step that the GPU is busy with each kind of kernel, where the browser tells. */
  gpuMs: z.record(z.string(), z.number().nonnegative()).optional(),
  /** Milliseconds a step of the page's main thread, by whose code runs. */
  mainThreadMs: z.record(z.string(), z.number().nonnegative()).optional(),
});

const model = z.strictObject({
  name,
  dtype: z.enum(['q4', 'q4f16']),
  layers: z.int().positive(),
  queryHeads: z.int().positive(),
  kvHeads: z.int().positive(),
  headSize: z.int().positive(),
  loadMs: milliseconds,
  /** `enableSift` the first time in a browser with an empty profile, where that was measured, and the first time in the page. */
  coldEnableMs: milliseconds.optional(),
  firstEnableMs: milliseconds,
  /** What the last of these two was made of, by the stages that `onProgress` tells. */
  enableStages: z.record(z.string(), z.number().nonnegative()),
  /** Keys from which steps sift by default; null: at no length. */
  siftFrom: z.number().nonnegative().nullable(),
});

/** A row that is not there, and why. */
const missing = z.strictObject({
  model: name,
  context: z.int().positive(),
  variant: name,
  reason: z.string().max(2000),
});

/** What a run of the whole-step benchmark writes: `npm run bench:browser`, and the page of examples/bench. */
export const browserBench = z.strictObject({
  format: z.literal(1),
  date: z.iso.datetime(),
  /** The version of sift-attention. */
  version: name,
  /** Versions of the libraries, by their names. */
  libraries: z.record(z.string(), z.string()),
  /** The browser as it calls itself. */
  browser: z.string().max(500),
  adapter: z.strictObject({
    vendor: z.string().max(200),
    architecture: z.string().max(200),
    description: z.string().max(500),
    /** It computes on the processor. */
    software: z.boolean(),
  }),
  /** What whoever ran it says of the machine: browsers seldom tell the name of a GPU. */
  machine: z.string().max(200).optional(),
  /** Whether the page may have shared memory, without which the runtime has one thread; and its threads. */
  isolated: z.boolean(),
  threads: z.int().nonnegative(),
  models: z.array(model),
  rows: z.array(row),
  missing: z.array(missing),
});

export type BrowserBench = z.infer<typeof browserBench>;
export type BenchRow = BrowserBench['rows'][number];
export type BenchModel = BrowserBench['models'][number];

/**
 * Reads a file of results.
 * @throws {Error} that says in which fields it is not of the format
 */
export function parseBench(text: string): BrowserBench {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`The file is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  const result = browserBench.safeParse(value);
  if (!result.success) throw new Error(`The file is not of the format:\n${z.prettifyError(result.error)}`);
  return result.data;
}

/**
 * Results of two runs in one: the later ones take the place of those of the same model, length and variant.
 *
 * @throws {Error} if they are not of the same adapter, browser and version
 */
export function mergeBench(earlier: BrowserBench, later: BrowserBench): BrowserBench {
  const of = ({ adapter, browser, version }: BrowserBench) => JSON.stringify([adapter, browser, version]);
  if (of(earlier) !== of(later))
    throw new Error(`The results are of different machines or versions: ${of(earlier)} and ${of(later)}.`);
  const keep = <T>(before: readonly T[], now: readonly T[], key: (each: T) => string): T[] => {
    const measured = new Set(now.map(key));
    return [...before.filter((each) => !measured.has(key(each))), ...now];
  };
  const place = (each: { model: string; context: number; variant: string; past?: boolean }) =>
    JSON.stringify([each.model, each.context, each.past, each.variant]);
  return {
    ...later,
    models: keep(earlier.models, later.models, (each) => each.name),
    rows: keep(earlier.rows, later.rows, place),
    missing: keep(earlier.missing, later.missing, place),
  };
}
