import type { BenchRow, BrowserBench } from './format.ts';

const WIDTH = 860;
const HEIGHT = 420;
const MARGIN = { left: 64, right: 190, top: 34, bottom: 52 };
const COLORS = ['#526070', '#0f766e', '#b45309', '#7d3c98', '#2471a3', '#b91c1c', '#8a94a0', '#4d7c0f'];

const keys = (count: number): string => (count >= 1024 ? `${Math.round(count / 1024)}K` : String(count));

/** Milliseconds a token against the context as SVG, one plot for each model; both axes are logarithmic. */
export function benchPlot({ models, rows }: BrowserBench): string {
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  const plots = models
    .map(({ name }) => ({ name, of: onePerPlace(rows.filter(({ model }) => model === name)) }))
    .filter(({ of }) => of.length > 0);
  const parts = plots.map(
    ({ name, of }, i) =>
      `<g transform="translate(0 ${i * HEIGHT})">\n${modelPlot(name, of, variants).join('\n')}\n</g>`,
  );
  const height = HEIGHT * Math.max(1, plots.length);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="white"/>
${parts.join('\n')}
</svg>
`;
}

/** A length that was measured both with a prompt and with a given past has one point: that of more turns. */
const onePerPlace = (rows: readonly BenchRow[]): BenchRow[] =>
  rows.filter(
    (row) =>
      !rows.some(
        (other) =>
          other.context === row.context &&
          other.variant === row.variant &&
          other.turns.length > row.turns.length,
      ),
  );

function modelPlot(name: string, rows: readonly BenchRow[], variants: readonly string[]): string[] {
  const contexts = [...new Set(rows.map(({ context }) => context))].sort((a, b) => a - b);
  const all = rows.map(({ msMedian }) => msMedian);
  const low = Math.log2(Math.min(...all)) - 0.2;
  const high = Math.log2(Math.max(...all)) + 0.2;
  const first = Math.log2(contexts[0]!);
  const span = Math.max(1, Math.log2(contexts.at(-1)!) - first);
  const x = (context: number) =>
    MARGIN.left + ((Math.log2(context) - first) / span) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (ms: number) =>
    HEIGHT - MARGIN.bottom - ((Math.log2(ms) - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const parts = [`<text x="${MARGIN.left}" y="20" font-weight="bold">${name}: ms a token</text>`];
  for (let power = Math.ceil(low); power <= high; power++) {
    const at = y(2 ** power).toFixed(1);
    parts.push(
      `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
      `<text x="${MARGIN.left - 8}" y="${at}" dy="4" text-anchor="end">${2 ** power} ms</text>`,
    );
  }
  for (const context of contexts)
    parts.push(
      `<text x="${x(context).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 20}" text-anchor="middle">${keys(context)}</text>`,
    );
  parts.push(
    `<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 10}" text-anchor="middle">tokens in the context</text>`,
  );
  variants.forEach((variant, i) => {
    const colour = COLORS[i % COLORS.length]!;
    const of = rows.filter((row) => row.variant === variant).sort((a, b) => a.context - b.context);
    if (of.length === 0) return;
    const points = of.map((row) => `${x(row.context).toFixed(1)},${y(row.msMedian).toFixed(1)}`);
    const top = MARGIN.top + 18 * i;
    parts.push(
      `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...points.map((point) => {
        const [cx, cy] = point.split(',');
        return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`;
      }),
      `<circle cx="${WIDTH - MARGIN.right + 18}" cy="${top - 4}" r="4.5" fill="${colour}"/>`,
      `<text x="${WIDTH - MARGIN.right + 28}" y="${top}">${variant}</text>`,
    );
  });
  return parts;
}
