// npm run matrix -- --help
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { checkVendor } from './adapter.ts';
import { writeModels } from './docs.ts';
import { type Dead, judge, needsSecondStock, type Verdict } from './judge.ts';
import type { DecodingPlan, PluginMeasurement, StockMeasurement } from './measurement.ts';
import { findModels, type Model } from './models.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { DeadPage, ModelPages } from './pages.ts';
import { type MatrixResults, type ModelResult, mergeMatrix, parseMatrix, writeMatrix } from './results.ts';
import { findRuntimes, type Runtime } from './runtimes.ts';
import { modelsTable, summary } from './table.ts';

/** In which stock is held against stock: most of the time of a decoding without a GPU is its prompt's. */
const SHORT = { prompt: 48, steps: 3 } as const;

/** How often stock is decoded once more where it differs: two decodings that vary may agree by chance. */
const REPEATED = 4;

/** A measurement, or how its page died. */
async function orDead<T>(measurement: Promise<T>): Promise<T | Dead> {
  try {
    return await measurement;
  } catch (error) {
    if (error instanceof DeadPage) return { dead: { stage: error.stage, message: error.message } };
    throw error;
  }
}

async function measure(
  pages: ModelPages,
  { name, dtype }: Model,
  { prompt, steps, seconds, vendor }: Options,
): Promise<{ verdict: Verdict; adapter: string }> {
  const plan: DecodingPlan = { name, dtype, long: { prompt, steps }, short: SHORT };
  const stock: StockMeasurement | Dead = await orDead(pages.stock(plan, 1, seconds));
  const works = 'decodings' in stock && stock.error === null;
  const plugin: PluginMeasurement | Dead | null = works ? await orDead(pages.plugin(plan, seconds)) : null;
  const second =
    works && plugin && 'before' in plugin && needsSecondStock(stock, plugin)
      ? await orDead(pages.stock(plan, REPEATED, seconds))
      : null;
  const adapters = [stock, plugin, second].flatMap((page) => (page && 'adapter' in page ? page.adapter : []));
  checkVendor(adapters, vendor);
  return { verdict: judge(stock, plugin, second), adapter: adapters.find(Boolean) ?? '' };
}

const installed = (): Runtime => ({
  versions: Object.fromEntries(
    ['@huggingface/transformers', 'onnxruntime-web'].map((name) => [
      name,
      JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version,
    ]),
  ),
  plugins: [],
  path: null,
});

/** Runs models with one pair of the libraries; `done` gets what was found after each. */
async function runModels(
  models: readonly Model[],
  runtime: Runtime,
  options: Options,
  done: (results: MatrixResults) => void,
): Promise<MatrixResults> {
  const { prompt, steps } = options;
  const results: MatrixResults = { versions: runtime.versions, adapter: '', prompt, steps, models: [] };
  const pages = await ModelPages.open(options.graphs, runtime, options.subgroups);
  try {
    for (const model of models) {
      const began = performance.now();
      const { verdict, adapter } = await measure(pages, model, options);
      results.adapter ||= adapter;
      const result = { ...model, ...verdict, seconds: (performance.now() - began) / 1000 };
      results.models.push(result);
      console.log(summary(result));
      done(results);
    }
    if (options.vendor !== null && results.adapter === '')
      throw new Error('No model was loaded, so that nothing is known of the adapter that --vendor asks for.');
  } finally {
    await pages.close();
  }
  return results;
}

/** Says how many models there are of each outcome, and which failed; whether none did. */
function conclude(models: readonly ModelResult[]): boolean {
  const counts = new Map<string, number>();
  for (const { outcome } of models) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  console.log([...counts].map(([outcome, count]) => `${outcome}: ${count}`).join(', '));
  const failed = models.filter(({ outcome }) => outcome === 'FAILURE');
  if (failed.length > 0) console.log(`FAILURE of ${failed.map(({ name }) => name).join(', ')}`);
  return failed.length === 0;
}

/** Runs all models with the installed libraries; whether nothing happened that must not. */
async function run(options: Options): Promise<boolean> {
  const models = findModels(options.graphs, options.only, options.dtype);
  const { models: found } = await runModels(models, installed(), options, (results) => {
    // After every model, so that a run that is broken off has been of use.
    if (options.json) save(options.json, results);
  });
  console.log(`\n${modelsTable(found)}\n`);
  return conclude(found);
}

/** Runs one model with every pair of the libraries in a folder. */
async function runVersions(options: Options, folder: string): Promise<boolean> {
  const [model] = findModels(options.graphs, options.only, options.dtype);
  if (!model) throw new Error(`${options.graphs} has no model.`);
  const found: ModelResult[] = [];
  for (const runtime of findRuntimes(folder)) {
    const versions = Object.entries(runtime.versions).map((pair) => pair.join(' '));
    console.log(versions.join(', '));
    const { models } = await runModels([model], runtime, options, () => {});
    found.push(...models.map((result) => ({ ...result, name: versions.join(', ') })));
  }
  return conclude(found);
}

function save(path: string, results: MatrixResults): void {
  const earlier = existsSync(path) ? parseMatrix(readFileSync(path, 'utf8')) : null;
  writeFileSync(path, writeMatrix(earlier ? mergeMatrix(earlier, results) : results));
}

async function main(): Promise<boolean> {
  const options = readOptions(process.argv.slice(2));
  if (!options) console.log(USAGE);
  else if ('docs' in options) writeModels(options.docs);
  else return options.versions === null ? run(options) : runVersions(options, options.versions);
  return true;
}

// The browser ends with the interrupt, too, and its model would be noted as failed.
process.once('SIGINT', () => process.exit(130));
main().then(
  (well) => process.exit(well ? 0 : 1),
  (error) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
