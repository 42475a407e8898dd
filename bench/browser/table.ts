import { markdownTable } from '../../lab/markdown.ts';
import type { BenchRow, BrowserBench } from './format.ts';

const ms = (value: number): string => value.toFixed(value < 9.95 ? 2 : 1);
const times = (value: number): string => value.toFixed(value < 9.95 ? 2 : 1);
const keys = (count: number): string => count.toLocaleString('en');

/** The name of the adapter as results call it. */
export const adapterName = ({ adapter, machine }: BrowserBench): string =>
  machine ||
  adapter.description ||
  [adapter.vendor, adapter.architecture].filter(Boolean).join(' ') ||
  'unknown';

/** `Chromium 156`, of what the browser calls itself. */
export function browserName({ browser }: BrowserBench): string {
  const found = /(Firefox|Edg|HeadlessChrome|Chrome|Version)\/(\d+)/.exec(browser);
  if (!found) return browser;
  const names: Record<string, string> = {
    Edg: 'Edge',
    HeadlessChrome: 'Chromium',
    Chrome: 'Chromium',
    Version: 'Safari',
  };
  return `${names[found[1]!] ?? found[1]} ${found[2]}`;
}

/** Rows that stand for the same, but for how they are decoded. */
const stockOf = (rows: readonly BenchRow[], { model, context, past }: BenchRow): BenchRow | undefined =>
  rows.find(
    (row) => row.variant === 'stock' && row.model === model && row.context === context && row.past === past,
  );

/** Rows by model and length; those of one length stay in the order in which they were measured. */
function inOrder({ models, rows }: BrowserBench): BenchRow[] {
  const place = (row: BenchRow) => models.findIndex(({ name }) => name === row.model);
  return [...rows].sort(
    (a, b) => place(a) - place(b) || a.context - b.context || Number(a.past) - Number(b.past),
  );
}

/** The results as a Markdown table. */
export function benchTable(results: BrowserBench): string {
  const rows = inOrder(results);
  const cells = rows.map((row) => {
    const stock = stockOf(rows, row);
    return [
      row.model,
      `${keys(row.context)}${row.past ? ' past' : ''}`,
      row.variant,
      ms(row.msMedian),
      ms(row.msP90),
      stock && stock !== row ? times(stock.msMedian / row.msMedian) : '–',
      ms(row.firstStepMs),
      row.firstTokenMs === null ? '–' : `${(row.firstTokenMs / 1000).toFixed(2)} s`,
      row.enableMs === null ? '–' : `${(row.enableMs / 1000).toFixed(2)} s`,
      row.keptGroup === null ? '–' : `${(100 * row.keptGroup).toFixed(0)}%`,
    ];
  });
  const head = [
    ...['model', 'context', 'variant', 'ms a token', 'p90', 'stock / this'],
    ...['first step', 'first token', 'enableSift again', 'V rows read'],
  ];
  return markdownTable(head, cells);
}

/** What a step is made of, where that was measured: one table for the GPU, one for the main thread. */
function parts(rows: readonly BenchRow[], of: 'gpuMs' | 'mainThreadMs'): string {
  const measured = rows.filter((row) => row[of]);
  if (measured.length === 0) return '';
  const kinds = [...new Set(measured.flatMap((row) => Object.keys(row[of]!)))];
  const cells = measured.map((row) => [
    row.model,
    keys(row.context),
    row.variant,
    ...kinds.map((kind) => ms(row[of]![kind] ?? 0)),
  ]);
  return markdownTable(['model', 'context', 'variant', ...kinds], cells);
}

/** A page about one file of results. */
export function benchMarkdown(results: BrowserBench, command: string): string {
  const { date, version, libraries, models, isolated, threads, missing } = results;
  const rows = inOrder(results);
  const list = Object.entries(libraries)
    .map(([name, of]) => `${name} ${of}`)
    .join(', ');
  const gpu = parts(rows, 'gpuMs');
  const thread = parts(rows, 'mainThreadMs');
  const modelCells = models.map((model) => [
    `${model.name} ${model.dtype}`,
    model.layers,
    `${model.queryHeads}/${model.kvHeads} of ${model.headSize}`,
    `${(model.loadMs / 1000).toFixed(1)} s`,
    model.coldEnableMs === undefined ? '–' : `${(model.coldEnableMs / 1000).toFixed(2)} s`,
    `${(model.firstEnableMs / 1000).toFixed(2)} s`,
    Object.entries(model.enableStages)
      .map(([stage, of]) => `${stage} ${(of / 1000).toFixed(2)}`)
      .join(', '),
    model.siftFrom === null ? 'never' : `${keys(model.siftFrom)} keys`,
  ]);
  const sections = [
    `# The whole decode step in a browser: ${adapterName(results)}`,
    `Milliseconds a token through the \`pipeline\` of transformers.js, as a user has them: ${browserName(results)}, ${adapterName(results)}, ${date.slice(0, 10)}, sift-attention ${version} (${list}; ${isolated ? 'an isolated page' : 'a page that is not isolated'}, ${threads} threads). Made by \`${command}\`. [bench/README.md](../README.md#the-whole-step-in-a-browser) says what the columns are.`,
    benchTable(results),
    markdownTable(
      [
        'model',
        'layers',
        'heads',
        'load',
        'enableSift, new browser',
        'enableSift, page loaded again',
        'of which, in s',
        'sifts from',
      ],
      modelCells,
    ),
    gpu &&
      `Milliseconds that the GPU is busy in a step. Every dispatch has a compute pass of its own for it.\n\n${gpu}`,
    thread && `Milliseconds of the page's main thread in a step, by whose code runs (sampled).\n\n${thread}`,
    missing.length > 0 &&
      `Not measured:\n\n${missing.map((m) => `- ${m.model}, ${keys(m.context)} keys, ${m.variant}: ${m.reason}`).join('\n')}`,
  ];
  return `${sections.filter(Boolean).join('\n\n')}\n`;
}
