// The tables of the site and of the README, from results that are committed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchRow, type BrowserBench, parseBench } from '../../bench/browser/format.ts';
import { adapterName, benchTable, browserName } from '../../bench/browser/table.ts';
import { markdownTable } from '../../lab/markdown.ts';
import { ROOT } from '../../lab/root.ts';
import { parseMatrix } from '../../quality/matrix/results.ts';
import { parseResults, type QualityRow } from '../../quality/report/results.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const keys = (count: number) => count.toLocaleString('en');
const ms = (value: number) => value.toFixed(value < 99.95 ? 1 : 0);
const times = (value: number) => value.toFixed(value < 1.95 ? 2 : value < 9.95 ? 1 : 0);
const percent = (value: number) => `${(100 * value).toFixed(1)}%`;

/** The row of a model, a length and a variant: with a given past where there is one, which more variants were measured with. */
function rowOf(
  { rows }: BrowserBench,
  model: string,
  context: number,
  variant: string,
): BenchRow | undefined {
  const found = rows.filter(
    (row) => row.model === model && row.context === context && row.variant === variant,
  );
  return found.find(({ past }) => past) ?? found[0];
}

/** Milliseconds a token of stock and of the default, for every length that all models were measured at. */
export function wholeStepTable(results: BrowserBench): string {
  const { models, rows } = results;
  const contexts = [...new Set(rows.map(({ context }) => context))].sort((a, b) => a - b);
  const cells = contexts.flatMap((context) => {
    const pairs = models.map(({ name }) => [
      rowOf(results, name, context, 'stock'),
      rowOf(results, name, context, 'default'),
    ]);
    if (!pairs.every(([stock, ours]) => stock && ours)) return [];
    return [
      [
        keys(context),
        ...pairs.flatMap(([stock, ours]) => [
          ms(stock!.msMedian),
          ms(ours!.msMedian),
          times(stock!.msMedian / ours!.msMedian),
        ]),
      ],
    ];
  });
  const head = models.flatMap(({ name }) => [`${name}: stock`, 'sift', 'stock / sift']);
  return markdownTable(['tokens in the context', ...head], cells);
}

/** What `enableSift` took. */
function enablingTable({ models }: BrowserBench): string {
  const seconds = (value: number | undefined) =>
    value === undefined ? '–' : `${(value / 1000).toFixed(1)} s`;
  return markdownTable(
    [
      'model',
      'enableSift, new browser',
      'page loaded again',
      ...Object.keys(models[0]!.enableStages),
      'sifts from',
    ],
    models.map((model) => [
      model.name,
      seconds(model.coldEnableMs),
      seconds(model.firstEnableMs),
      ...Object.values(model.enableStages).map(seconds),
      model.siftFrom === null ? 'never' : `${keys(Math.round(model.siftFrom))} tokens`,
    ]),
  );
}

function benchSettings(results: BrowserBench): string {
  const { date, version, libraries, isolated, threads } = results;
  return `Measured on ${date.slice(0, 10)} on an ${adapterName(results)} in headless ${browserName(results)}, with sift-attention ${version}, transformers.js ${libraries['transformers.js']} and onnxruntime-web ${libraries.web}, in a page that is ${isolated ? 'isolated' : 'not isolated'}, with ${threads} threads.`;
}

/** How policies of results are called for users. */
const PRESETS: Record<string, string> = {
  'preset:high': "`quality: 'high'`",
  'preset:balanced': "`quality: 'balanced'`, the default",
  'preset:fast': "`quality: 'fast'`",
  'paper:0.875': "`mode: 'paper'`",
  'learned:0.875': "`mode: 'learned'`",
};

/** What the presets leave out and what that costs, through the adapter on both models. */
function presetsTable(small: readonly QualityRow[], tiny: readonly QualityRow[]): string {
  const row = (rows: readonly QualityRow[], policy: string) =>
    rows.find((row) => row.policy === policy || row.policy.startsWith(`${policy},warmup=`));
  const figures = (found: QualityRow | undefined) =>
    found ? [percent(found.keptGroup!), found.klMean!.toPrecision(2), percent(found.top1!)] : ['–', '–', '–'];
  return markdownTable(
    [
      'options',
      '21M: V rows read',
      'mean KL (nats)',
      'same top-1',
      '5M: V rows read',
      'mean KL',
      'same top-1',
    ],
    Object.entries(PRESETS).map(([policy, name]) => [
      name,
      ...figures(row(small, policy)),
      ...figures(row(tiny, policy)),
    ]),
  );
}

/** Which forms of models are served, in short. */
function servedTable(): string {
  const { models } = parseMatrix(read('quality/results/models.json'));
  const cells = models.map(({ name, architecture, attention, outcome, served, layers, exact }) => {
    const caches = new Set(served).size;
    const which =
      outcome === 'refused'
        ? 'refused'
        : caches === layers
          ? 'all'
          : caches === 0
            ? 'while the text fits in its window'
            : `${caches} of ${layers}`;
    const same = !exact ? '–' : exact.nearTies.length === 0 ? 'equal' : 'equal but for near-ties';
    return [
      `${architecture.replace(/For\w+$/, '')} (${name})`,
      (attention ?? 'not read').split(',').slice(0, 2).join(','),
      which,
      same,
    ];
  });
  return markdownTable(['model', 'attention', 'layers served', 'tokens with every row read'], cells);
}

/** What stands between the markers of pages, by the marker's name. */
export function siteTables(): Record<string, string> {
  const bench = parseBench(read('bench/results/h200-browser.json'));
  const [small, tiny] = ['small', 'tiny'].map(
    (model) => parseResults(read(`quality/results/${model}.json`)).results,
  );
  return {
    'whole-step': wholeStepTable(bench),
    'whole-step-rows': benchTable(bench),
    'whole-step-settings': benchSettings(bench),
    enabling: enablingTable(bench),
    presets: presetsTable(small!, tiny!),
    served: servedTable(),
  };
}
