// npm run quality -- --help
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { runConversations } from './conversations/run.ts';
import { type OpenEvaluator, openBrowserEvaluator } from './evaluation/browser.ts';
import type { Evaluator } from './evaluation/evaluator.ts';
import { dtypeIn, openNodeEvaluator } from './evaluation/node.ts';
import { partsOf, type Sequence, sequencesOf, splitDocuments } from './plan/corpus.ts';
import { type Options, readOptions, USAGE } from './plan/options.ts';
import { completeIn, markdown, measure, type Plan, shardOf, tabulate } from './plan/runner.ts';
import { partPath, Store, shardPaths } from './plan/store.ts';
import { parseResults, type QualityResults, writeResults } from './report/results.ts';
import { taskNames } from './tasks/index.ts';

const began = performance.now();
const say = (message: string): void =>
  console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${message}`);

function open(options: Options, dtype: string): Promise<OpenEvaluator> {
  const progress = (message: string) => say(`  ${message}`);
  return options.node
    ? openNodeEvaluator(options.folder!, dtype, progress)
    : openBrowserEvaluator({ folder: options.folder, hubId: options.hubId, dtype }, progress);
}

/** The text in the model's tokens. */
async function tokenise(evaluator: Evaluator, text: string): Promise<number[][]> {
  const { endToken } = await evaluator.facts();
  const documents = await evaluator.encode(splitDocuments(text));
  return documents.map((tokens) => [...tokens, endToken]);
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

async function run(options: Options): Promise<void> {
  const dtype = options.dtype ?? (options.folder === null ? 'q4' : dtypeIn(options.folder));
  const name = options.hubId ?? basename(options.folder!);
  say(`${name} (${dtype}) ${options.node ? 'in Node' : 'in a browser'}`);
  const { evaluator, close } = await open(options, dtype);
  try {
    const { gpu, context, endToken } = await evaluator.facts();
    const text = readFileSync(options.text, 'utf8');
    const documents = await tokenise(evaluator, text);
    const { prompt, steps, warmup, half } = options;
    const length = prompt + steps + 1;
    if (options.conversations === undefined && length > context)
      throw new Error(`--prompt and --steps make ${length} tokens; the model's context is ${context}.`);
    if (options.conversations !== undefined) return await conversations(evaluator, options, name, dtype, gpu);
    const parts = partsOf({ documents }, half);
    const sequences = sequencesOf(parts, options.sequences, length);
    say(`${gpu}; ${parts.reduce((sum, part) => sum + part.tokens.length, 0)} tokens of text`);
    if (options.reference !== undefined) return await reference(evaluator, options, sequences, gpu);
    const filler = parts.flatMap(({ tokens }) => tokens).filter((token) => token !== endToken);
    const plan: Plan = {
      policies: options.policies,
      sequences,
      options: { prompt, steps, warmup },
      tasks: await evaluator.tasks(taskNames(options.tasks, context), { filler, learning: warmup }),
    };
    const machine: 'node' | 'browser' = options.node ? 'node' : 'browser';
    const hash = hashOf(text);
    const settings = { model: name, dtype, machine, gpu, text: hash, half, prompt, steps, warmup };
    const base = options.json ?? `.cache/quality/${hashOf(JSON.stringify(settings))}`;
    const { shard } = options;
    const path = partPath(base, shard);
    const store = new Store(path, settings, shard ? [] : shardPaths(base));
    if (options.fresh) store.clear();
    else if (store.resumed > 0) say(`going on from ${path}: ${store.resumed} results`);
    else if (store.otherSettings) say(`${path} is of a run with other settings; beginning anew`);
    const until = Date.now() + options.minutes * 60_000;
    const whole = await measure(evaluator, shard ? shardOf(plan, shard) : plan, store, say, until);
    if (shard) return say(`share ${shard.index} of ${shard.count} is measured: ${path}`);
    // A run whose time is over has the sequences that are complete, and keeps what it has for the next.
    const done = whole ? plan : completeIn(plan, store);
    if (!whole) say(`the time is over; the same command goes on from ${path}`);
    if (done.sequences.length + done.tasks.length === 0) return;
    const rows = tabulate(done, store);
    console.log(markdown(rows));
    if (options.chart) {
      const { textChart } = await import('./report/text-chart.ts');
      const title = `${name} (${dtype}) on ${basename(options.text)}, ${prompt} tokens of prompt, ${steps} steps`;
      writeFileSync(options.chart, `${textChart(title, [{ name: basename(options.text), rows }])}\n`);
    }
    if (options.json) {
      const total = documents.reduce((sum, document) => sum + document.length, 0);
      const results: QualityResults = {
        model: name,
        dtype,
        machine,
        gpu,
        text: { name: basename(options.text), documents: documents.length, tokens: total },
        half,
        prompt,
        steps,
        warmup,
        starts: done.sequences.map(({ start }) => start),
        results: rows,
      };
      writeFileSync(options.json, writeResults(results));
      parseResults(readFileSync(options.json, 'utf8'));
    }
    if (whole) store.remove();
  } finally {
    await close();
  }
}

/** Conversations that are made to break what sifting supposes. */
async function conversations(
  evaluator: Evaluator,
  options: Options,
  model: string,
  dtype: string,
  gpu: string,
): Promise<void> {
  const { prompt, steps, long, text, code, foreign, json, fresh } = options;
  const machine: 'node' | 'browser' = options.node ? 'node' : 'browser';
  const hashes = [text, code, foreign].map((path) => hashOf(readFileSync(path, 'utf8')));
  const settings = { model, dtype, machine, gpu, conversations: hashes, prompt, steps, long };
  const path = partPath(json ?? `.cache/quality/${hashOf(JSON.stringify(settings))}`);
  const store = new Store(path, settings);
  if (fresh) store.clear();
  else if (store.resumed > 0) say(`going on from ${path}: ${store.resumed} results`);
  await runConversations(evaluator, options, { model, dtype, machine, gpu }, store, say);
}

/** Kept rows, and the kernel's outputs, against the f64 reference. */
async function reference(
  evaluator: Evaluator,
  options: Options,
  sequences: readonly Sequence[],
  gpu: string,
): Promise<void> {
  const { prompt, steps, warmup, policies, json } = options;
  const results = [];
  for (const { start, tokens } of sequences) {
    for (const policy of policies) {
      const found = await evaluator.reference(tokens, policy, {
        prompt,
        steps,
        warmup,
        samples: options.reference!,
      });
      const share = (part: number) => `${((100 * part) / found.decisions).toFixed(4)}%`;
      say(
        `${policy} @${start}: ${found.decisions} decisions, ${share(found.agree)} agree, ${share(found.agreeLearned)} with thresholds learned in f64; outputs off by ${found.outputErrors.map((error) => error.toExponential(1)).join(', ')}`,
      );
      results.push({ start, ...found });
      if (json) writeFileSync(json, `${JSON.stringify({ gpu, prompt, steps, results }, null, 1)}\n`);
    }
  }
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options) await run(options);
  else console.log(USAGE);
  process.exit(0); // onnxruntime and Dawn keep the process alive
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
