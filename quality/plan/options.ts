import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { conversationNames } from '../conversations/adversarial.ts';
import { TASK_SYNTAX } from '../tasks/index.ts';
import type { Half } from './corpus.ts';
import { POLICY_SYNTAX, parsePolicy } from './policy-syntax.ts';

/** A held-out text that is part of this repository. */
const TEXT = 'models/text/excerpt.txt';
/** Code and a text in another language that are part of it. */
const CODE = 'src/kernel/calibration/calibrate.ts';
const FOREIGN = 'quality/conversations/german.txt';

export const USAGE = `npm run quality -- [options]
Holds policies against exact attention on held-out text: a prompt is prefilled, the text's next tokens are decoded one by one. In a
headless browser through transformers.js and the plugin's adapter; on a GPU with SIFT_GPU=1, else on the software adapter.
  --model DIR|ID     folder of a converted model, or an id of the hub (models/tiny)
  --dtype NAME       fp32, fp16, q4, q4f16 (what the folder has; q4 for the hub)
  --text FILE        plain text, documents separated by <|endoftext|> (${TEXT}); for models trained on it, take another
  --half HALF        first: choose on it; second: confirm on it; all (default): both, each with figures of its own
  --prompt N         tokens of the prompt (1024), --steps N decode steps after it (256), --warmup N of which do not count (64)
  --sequences N      spread evenly over the text (2)
  --policy POLICY    repeatable (preset:balanced, paper:0.875)
  --conversations NAMES  instead: conversations that are made to break what sifting supposes (all, or some of them by name, with
                     commas); prose from --text, and --code FILE, --foreign FILE; --long N steps after a prompt of 20 tokens (4096)
  --minutes N        ends after so many minutes with what there is; the same command goes on
  --chart FILE       a chart of KL against the V rows read (SVG)
  --tasks TASKS      exact answers against stock's on the same prompts, asked for after --warmup decode steps
  --reference N      instead: kept rows and outputs of N steps against the f64 reference, on the model's own tensors (f32 only)
  --node             over onnxruntime-web and Dawn in Node instead of a browser (DAWN_NODE, ORT_DIST: see lab/node)
  --json FILE        results
  --fresh            begin anew; otherwise an interrupted run of the same settings goes on
  --shard I/N        only the I-th of N shares of the sequences and tasks, for N runs side by side; the same command without it
                     then makes the table, and measures what they have not
Policies: ${POLICY_SYNTAX}
Tasks: ${TASK_SYNTAX}`;

export interface Options {
  folder: string | null;
  hubId: string | null;
  dtype: string | undefined;
  text: string;
  half: Half;
  prompt: number;
  steps: number;
  warmup: number;
  sequences: number;
  policies: string[];
  tasks: string;
  /** Names of conversations that are measured instead; undefined: texts and tasks are. */
  conversations: string[] | undefined;
  code: string;
  foreign: string;
  long: number;
  minutes: number;
  chart: string | undefined;
  reference: number | undefined;
  node: boolean;
  json: string | undefined;
  fresh: boolean;
  /** This run's share of the sequences and tasks: the `index`-th, from 1 on, of `count`. */
  shard: Shard | undefined;
}

export interface Shard {
  index: number;
  count: number;
}

/**
 * Reads the command line. It is null where the usage is asked for.
 * @throws Error that names the option, its value and what is allowed.
 */
export function readOptions(argv: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean' },
      model: { type: 'string', default: 'models/tiny' },
      dtype: { type: 'string' },
      text: { type: 'string', default: TEXT },
      half: { type: 'string', default: 'all' },
      prompt: { type: 'string', default: '1024' },
      steps: { type: 'string', default: '256' },
      warmup: { type: 'string', default: '64' },
      sequences: { type: 'string', default: '2' },
      policy: { type: 'string', multiple: true, default: ['preset:balanced', 'paper:0.875'] },
      tasks: { type: 'string', default: '' },
      conversations: { type: 'string' },
      code: { type: 'string', default: CODE },
      foreign: { type: 'string', default: FOREIGN },
      long: { type: 'string', default: '4096' },
      minutes: { type: 'string', default: 'Infinity' },
      chart: { type: 'string' },
      reference: { type: 'string' },
      node: { type: 'boolean', default: false },
      json: { type: 'string' },
      fresh: { type: 'boolean', default: false },
      shard: { type: 'string' },
    },
  });
  if (values.help) return null;
  const whole = (name: string, text: string, least: number): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least)
      throw new Error(`--${name} is "${text}"; it is a whole number from ${least} on.`);
    return value;
  };
  if (values.half !== 'first' && values.half !== 'second' && values.half !== 'all')
    throw new Error(`--half is "${values.half}"; it is first, second or all.`);
  const isFolder = existsSync(values.model);
  if (!isFolder && (values.node || !/^[\w.-]+\/[\w.-]+$/.test(values.model)))
    throw new Error(
      `--model is "${values.model}", which is no folder${values.node ? '' : ' and no id of the hub (OWNER/NAME)'}.`,
    );
  if (!existsSync(values.text))
    throw new Error(
      `--text: ${values.text} is missing. Name a plain text that the model was not trained on, its documents separated by <|endoftext|>.`,
    );
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes is "${values.minutes}"; it is a number above 0.`);
  const warmup = whole('warmup', values.warmup, 0);
  const steps = whole('steps', values.steps, 1);
  const sequences = whole('sequences', values.sequences, 0);
  if (steps < warmup + 4 && values.conversations === undefined)
    throw new Error(`--steps is ${steps}; at least 4 after --warmup (${warmup}) must count.`);
  const policies = [...new Set(values.policy)];
  for (const text of policies) {
    const { policy } = parsePolicy(text);
    if (policy.warmup > warmup && values.conversations === undefined)
      throw new Error(
        `${text} learns in ${policy.warmup} steps, and --warmup is ${warmup}: steps that keep every row would count.`,
      );
  }
  const reference = values.reference === undefined ? undefined : whole('reference', values.reference, 1);
  const shard = /^(\d+)\/(\d+)$/
    .exec(values.shard ?? '1/1')
    ?.slice(1)
    .map(Number) as [number, number] | undefined;
  if (!shard || shard[0] < 1 || shard[0] > shard[1])
    throw new Error(`--shard is "${values.shard}"; it is I/N with I from 1 to N.`);
  if (sequences === 0 && (values.tasks === '' || reference !== undefined))
    throw new Error('--sequences is 0; that is allowed with --tasks alone.');
  return {
    folder: isFolder ? values.model : null,
    hubId: isFolder ? null : values.model,
    dtype: values.dtype,
    text: values.text,
    half: values.half,
    prompt: whole('prompt', values.prompt, 1),
    steps,
    warmup,
    sequences,
    policies,
    tasks: values.tasks,
    conversations: values.conversations === undefined ? undefined : conversationNames(values.conversations),
    code: values.code,
    foreign: values.foreign,
    long: whole('long', values.long, 4),
    minutes,
    chart: values.chart,
    reference,
    node: values.node,
    json: values.json,
    fresh: values.fresh,
    shard: values.shard === undefined ? undefined : { index: shard[0], count: shard[1] },
  };
}
