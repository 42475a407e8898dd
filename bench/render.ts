// npx tsx bench/render.ts RESULTS.json: the Markdown table beside it, RESULTS.md, and of contiguous caches the roofline plot, RESULTS.svg.
import { readFileSync, writeFileSync } from 'node:fs';
import { markdownTable } from '../lab/markdown.ts';
import type { Row } from './kernels/report.ts';
import { roofline } from './kernels/roofline.ts';
import { type PagedRow, pagedMarkdown } from './paged/report.ts';

/** What `run.ts` writes. */
interface KernelResults {
  adapter: { chip: string; description: string };
  date: string;
  runtime: string;
  bandwidth: { kernel: number; copyBufferToBuffer: number };
  rows: Row[];
}

/** What `run.ts --paged` writes. */
interface PagedResults {
  gpu: string;
  date: string;
  rows: PagedRow[];
}

const path = process.argv[2];
if (!path) throw new Error('usage: render.ts RESULTS.json');
const base = path.replace(/\.json$/, '');
const name = base.split('/').at(-1);
const madeBy = `Made by \`npx tsx bench/render.ts ${path}\`; [bench/README.md](../README.md) says what the columns are.`;
const results = JSON.parse(readFileSync(path, 'utf8')) as KernelResults | PagedResults;
if ('bandwidth' in results) renderKernels(results);
else renderPaged(results);

function renderPaged({ gpu, date, rows }: PagedResults): void {
  writeFileSync(
    `${base}.md`,
    `# Kernels over a paged cache

One layer's attention in a decode step, pages of 16 keys in random order. Medians (and 10th to 90th percentiles) of one run in turns (${date.slice(0, 10)}; Dawn in Node, ${gpu}). Every output was held against the f64 reference before it was timed. **Stock grid** is a kernel of ours on web-llm's grid, not web-llm's own. ${madeBy}

${pagedMarkdown(rows)}
`,
  );
}

function renderKernels({ adapter, date, runtime, bandwidth, rows }: KernelResults): void {
  const rate = Math.max(bandwidth.kernel, bandwidth.copyBufferToBuffer);
  const us = (value: number | null) =>
    value === null ? '–' : value < 100 ? value.toFixed(1) : value.toFixed(0);

  const cells = rows.map((row) => [
    `${row.dtype} ${row.heads}/${row.kvHeads}`,
    row.headSize,
    row.length.toLocaleString('en'),
    row.scores,
    row.level ? `${row.level}/S` : (row.tau ?? `kept ${row.kept}`),
    row.form,
    `${(100 * row.keptGroup).toFixed(0)}%`,
    us(row.stockUs),
    us(row.denseUs),
    us(row.siftUs),
    us(row.warmupUs),
    `${us(row.denseFloorUs)} / ${us(row.floorUs)}`,
    row.stockUs === null ? '–' : (row.stockUs / row.denseUs).toFixed(1),
    (row.denseUs / row.siftUs).toFixed(2),
    (row.denseUs / row.denseFloorUs).toFixed(2),
  ]);
  const head = [
    ...[
      'type, heads',
      'head size',
      'keys',
      'scores',
      'threshold',
      'form',
      'V rows read',
      'stock',
      'dense',
      'sift',
    ],
    ...['warm-up step', 'floor dense / sift', 'stock / dense', 'dense / sift', 'dense / floor'],
  ];
  const table = markdownTable(head, cells);
  writeFileSync(
    `${base}.md`,
    `# Kernels on ${adapter.chip}

One layer's attention in a decode step. Microseconds, medians of one run in turns (${date.slice(0, 10)}; Dawn in Node, ${adapter.description}; onnxruntime-web ${runtime}; copy bandwidth ${rate.toFixed(0)} GB/s). ${madeBy} ${name}.json has the spreads.

![Time over the memory floor](${name}.svg)

${table}
`,
  );

  writeFileSync(`${base}.svg`, roofline(rows, rate));
}
