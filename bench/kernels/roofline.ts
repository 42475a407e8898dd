import type { Row } from './report.ts';

const WIDTH = 860;
const HEIGHT = 560;
const MARGIN = { left: 70, right: 210, top: 30, bottom: 50 };

type Series = [label: string, colour: string, rows: readonly Row[], value: (row: Row) => number | null];

/** What is drawn of the results. */
function seriesOf(rows: readonly Row[]): Series[] {
  const normal = rows.filter((r) => r.scores === 'normal' && r.kept === 0.27 && r.form === 'two-pass');
  const recorded = rows.filter((r) => r.scores === 'recorded' && r.form === 'one-pass');
  return [
    ['stock', '#c0392b', normal, (r) => r.stockUs],
    ['dense', '#2471a3', normal, (r) => r.denseUs],
    ['sift, 27% of V, two passes', '#1e8449', normal, (r) => r.siftUs],
    ['one pass, recorded, 1/S', '#b7950b', recorded.filter((r) => r.level === 1), (r) => r.siftUs],
    ['one pass, recorded, 5/S', '#7d3c98', recorded.filter((r) => r.level === 5), (r) => r.siftUs],
    ['floor (K and V)', '#555555', normal, (r) => r.denseFloorUs],
  ];
}

/** A logarithmic axis over the range of some values, from one place to another. */
function logAxis(values: readonly number[], from: number, to: number) {
  const least = Math.log10(Math.min(...values));
  const most = Math.log10(Math.max(...values));
  const powers: number[] = [];
  for (let power = Math.ceil(least); power <= most; power++) powers.push(power);
  return {
    /** The powers of ten within the range. */
    powers,
    at: (value: number) => from + ((Math.log10(value) - least) / (most - least)) * (to - from),
  };
}

/**
 * The roofline plot as SVG: microseconds over bytes of K and V, both logarithmic; the memory floor is a line.
 *
 * @param rate - the copy bandwidth in gigabytes a second
 */
export function roofline(rows: readonly Row[], rate: number): string {
  const bytesOf = (row: Row) => row.denseFloorUs * rate * 1000;
  const times = rows.flatMap((r) => [r.stockUs ?? r.denseUs, r.denseUs, r.siftUs, r.denseFloorUs]);
  const x = logAxis(rows.map(bytesOf), MARGIN.left, WIDTH - MARGIN.right);
  const y = logAxis(times, HEIGHT - MARGIN.bottom, MARGIN.top);
  const series = seriesOf(rows);
  const parts: string[] = [];
  for (const power of y.powers) {
    const at = y.at(10 ** power);
    parts.push(
      `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
    );
    parts.push(`<text x="${MARGIN.left - 8}" y="${at + 4}" text-anchor="end">${10 ** power} µs</text>`);
  }
  for (const power of x.powers) {
    const at = x.at(10 ** power);
    parts.push(
      `<line x1="${at}" x2="${at}" y1="${MARGIN.top}" y2="${HEIGHT - MARGIN.bottom}" stroke="#ddd"/>`,
    );
    parts.push(
      `<text x="${at}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${10 ** (power - 6)} MB</text>`,
    );
  }
  series.forEach(([label, colour, list, value], i) => {
    for (const row of list) {
      const time = value(row);
      if (time === null) continue;
      const [cx, cy] = [x.at(bytesOf(row)), y.at(time)];
      const shape =
        row.headSize === 64
          ? `<circle cx="${cx}" cy="${cy}" r="4.5" fill="${colour}"/>`
          : `<rect x="${cx - 4}" y="${cy - 4}" width="8" height="8" fill="${colour}"/>`;
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
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
${parts.join('\n')}
</svg>
`;
}
