// npx tsx bench/render.ts RESULTS.json: the Markdown table and the roofline plot beside it, RESULTS.md and RESULTS.svg.
import { readFileSync, writeFileSync } from 'node:fs';
import type { Row } from './kernels/report.ts';

const path = process.argv[2];
if (!path) throw new Error('usage: render.ts RESULTS.json');
const { adapter, date, runtime, bandwidth, rows } = JSON.parse(readFileSync(path, 'utf8')) as {
  adapter: { chip: string; description: string };
  date: string;
  runtime: string;
  bandwidth: { kernel: number; copyBufferToBuffer: number };
  rows: Row[];
};
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
const table = [head, head.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`).join('\n');
const base = path.replace(/\.json$/, '');
const name = base.split('/').at(-1);
writeFileSync(
  `${base}.md`,
  `# Kernels on ${adapter.chip}

One layer's attention in a decode step. Microseconds, medians of one run in turns (${date.slice(0, 10)}; Dawn in Node, ${adapter.description}; onnxruntime-web ${runtime}; copy bandwidth ${rate.toFixed(0)} GB/s). Made by \`npx tsx bench/render.ts ${path}\`; [bench/README.md](../README.md) says what the columns are, ${name}.json has the spreads.

![Time over the memory floor](${name}.svg)

${table}
`,
);

// Roofline: microseconds over bytes of K and V, both logarithmic; the floor is a line.
const WIDTH = 860;
const HEIGHT = 560;
const MARGIN = { left: 70, right: 210, top: 30, bottom: 50 };
const bytesOf = (row: Row) => row.denseFloorUs * rate * 1000;
const all = rows.flatMap((r) => [r.stockUs ?? r.denseUs, r.denseUs, r.siftUs, r.denseFloorUs]);
const range = (values: number[]) =>
  [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))] as const;
const [x0, x1] = range(rows.map(bytesOf));
const [y0, y1] = range(all);
const x = (bytes: number) =>
  MARGIN.left + ((Math.log10(bytes) - x0) / (x1 - x0)) * (WIDTH - MARGIN.left - MARGIN.right);
const y = (time: number) =>
  HEIGHT - MARGIN.bottom - ((Math.log10(time) - y0) / (y1 - y0)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
const normal = rows.filter((r) => r.scores === 'normal' && r.kept === 0.27 && r.form === 'two-pass');
const recorded = rows.filter((r) => r.scores === 'recorded' && r.form === 'one-pass');
const series: [label: string, colour: string, rows: Row[], value: (row: Row) => number | null][] = [
  ['stock', '#c0392b', normal, (r) => r.stockUs],
  ['dense', '#2471a3', normal, (r) => r.denseUs],
  ['sift, 27% of V, two passes', '#1e8449', normal, (r) => r.siftUs],
  ['one pass, recorded, 1/S', '#b7950b', recorded.filter((r) => r.level === 1), (r) => r.siftUs],
  ['one pass, recorded, 5/S', '#7d3c98', recorded.filter((r) => r.level === 5), (r) => r.siftUs],
  ['floor (K and V)', '#555555', normal, (r) => r.denseFloorUs],
];
const parts: string[] = [];
for (let power = Math.ceil(y0); power <= y1; power++) {
  const at = y(10 ** power);
  parts.push(`<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}" stroke="#ddd"/>`);
  parts.push(`<text x="${MARGIN.left - 8}" y="${at + 4}" text-anchor="end">${10 ** power} µs</text>`);
}
for (let power = Math.ceil(x0); power <= x1; power++) {
  const at = x(10 ** power);
  parts.push(`<line x1="${at}" x2="${at}" y1="${MARGIN.top}" y2="${HEIGHT - MARGIN.bottom}" stroke="#ddd"/>`);
  parts.push(
    `<text x="${at}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${10 ** (power - 6)} MB</text>`,
  );
}
series.forEach(([label, colour, list, value], i) => {
  for (const row of list) {
    const time = value(row);
    if (time === null) continue;
    const shape =
      row.headSize === 64
        ? `<circle cx="${x(bytesOf(row))}" cy="${y(time)}" r="4.5" fill="${colour}"/>`
        : `<rect x="${x(bytesOf(row)) - 4}" y="${y(time) - 4}" width="8" height="8" fill="${colour}"/>`;
    parts.push(shape);
  }
  const top = MARGIN.top + 18 * i;
  parts.push(`<circle cx="${WIDTH - MARGIN.right + 14}" cy="${top - 4}" r="4.5" fill="${colour}"/>`);
  parts.push(`<text x="${WIDTH - MARGIN.right + 24}" y="${top}">${label}</text>`);
});
parts.push(
  `<text x="${WIDTH - MARGIN.right + 10}" y="${MARGIN.top + 18 * (series.length + 1)}">dots: head size 64</text>`,
  `<text x="${WIDTH - MARGIN.right + 10}" y="${MARGIN.top + 18 * (series.length + 2)}">squares: head size 128</text>`,
  `<text x="${(WIDTH - MARGIN.right + MARGIN.left) / 2}" y="${HEIGHT - 10}" text-anchor="middle">bytes of K and V</text>`,
);
writeFileSync(
  `${base}.svg`,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
${parts.join('\n')}
</svg>
`,
);
