import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { BenchRow } from '../../../bench/browser/format.ts';
import { byLength } from './results.ts';

const COLORS: Record<string, string> = { stock: '--stock', default: '--sift', exact: '--second' };
const HEIGHT = 260;

const keys = (count: number): string => (count >= 1024 ? `${Math.round(count / 1024)}K` : String(count));

/** A colour of the page's. A canvas does not know `light-dark()`: only an element's computed colour says which of the two it is. */
function color(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Milliseconds a token against the context, one line for each variant; both axes are logarithmic. */
export function plotRows(box: HTMLElement, title: string, rows: readonly BenchRow[]): uPlot {
  const lengths = byLength(rows);
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  const data: uPlot.AlignedData = [
    lengths.map(([context]) => context),
    ...variants.map((variant) => lengths.map(([, of]) => of.get(variant)?.msMedian ?? null)),
  ];
  const axis = { stroke: color('--muted'), grid: { stroke: color('--line') } };
  const series = variants.map((variant) => ({
    label: variant,
    stroke: color(COLORS[variant] ?? '--muted'),
    width: 2,
    spanGaps: true,
    points: { show: true, size: 7 },
    value: (_: uPlot, ms: number | null) => (ms === null ? '–' : `${ms.toFixed(1)} ms`),
  }));
  return new uPlot(
    {
      title,
      width: Math.max(280, box.clientWidth),
      height: HEIGHT,
      scales: { x: { time: false, distr: 3, log: 2 }, y: { distr: 3, log: 10 } },
      axes: [
        {
          ...axis,
          label: 'tokens in the context',
          splits: () => lengths.map(([context]) => context),
          values: (_, at) => at.map((context) => keys(context)),
        },
        {
          ...axis,
          label: 'ms a token',
          size: 60,
          values: (_, at) => at.map((ms) => (ms === null ? '' : String(ms))),
        },
      ],
      series: [
        { label: 'context', value: (_, context) => (context === null ? '–' : keys(context)) },
        ...series,
      ],
    },
    data,
    box,
  );
}

/** The plots below each other as one picture, on the page's ground. */
export async function pictureOf(plots: readonly uPlot[]): Promise<Blob> {
  const pictures = plots.map(({ ctx }) => ctx.canvas);
  const canvas = document.createElement('canvas');
  const LINE = 28;
  canvas.width = Math.max(...pictures.map(({ width }) => width));
  canvas.height = pictures.reduce((sum, { height }) => sum + height + LINE, 0);
  const context = canvas.getContext('2d')!;
  context.fillStyle = color('--card');
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.font = '20px system-ui, sans-serif';
  let top = 0;
  plots.forEach((plot, i) => {
    let left = 12;
    for (const { label, stroke } of plot.series.slice(1)) {
      context.fillStyle = String(typeof stroke === 'function' ? stroke(plot, 1) : stroke);
      context.fillText(String(label), left, top + 21);
      left += context.measureText(String(label)).width + 24;
    }
    context.drawImage(pictures[i]!, 0, top + LINE);
    top += pictures[i]!.height + LINE;
  });
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the plot could not be drawn')))),
  );
}
