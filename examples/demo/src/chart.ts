import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

const HEIGHT = 220;

/** Which side a time is of. */
export type Side = 'sift' | 'stock';

/** The time of a token at a length of the context. */
export interface Point {
  context: number;
  side: Side;
  milliseconds: number;
}

const COLORS: Record<Side, string> = { sift: '--sift', stock: '--stock' };
const LABELS: Record<Side, string> = { sift: 'with sift', stock: 'stock' };

/** Milliseconds a token against the context, of all that this session has measured. */
export class Chart {
  private plot: uPlot | undefined;
  private readonly points: Point[] = [];

  constructor(private readonly box: HTMLElement) {
    this.build();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.build());
    new ResizeObserver(() => this.plot?.setSize({ width: box.clientWidth, height: HEIGHT })).observe(box);
  }

  add(...points: Point[]): void {
    this.points.push(...points);
    this.plot?.setData(this.data());
    this.box.dataset.points = String(this.points.length);
    const said = (side: Side) => {
      const own = this.points.filter((point) => point.side === side);
      const last = own.at(-1);
      return last
        ? `${LABELS[side]}: ${own.length} tokens, the latest ${last.milliseconds.toFixed(0)} ms at ${last.context}`
        : '';
    };
    this.box.ariaLabel = `Milliseconds a token against context. ${[said('sift'), said('stock')].filter(Boolean).join('; ')}.`;
  }

  /** Draws anew, with the colours that the page has now. */
  build(): void {
    this.plot?.destroy();
    const axis = { stroke: color(this.box, '--muted'), grid: { stroke: color(this.box, '--line') } };
    this.plot = new uPlot(
      {
        width: Math.max(240, this.box.clientWidth),
        height: HEIGHT,
        cursor: { points: { show: false } },
        scales: {
          x: { time: false, range: wide },
          y: { range: (_, low, high) => [0, Math.max(1, (high ?? low ?? 1) * 1.1)] },
        },
        axes: [
          { ...axis, label: 'tokens in the context', labelSize: 22, size: 34 },
          { ...axis, label: 'ms a token', labelSize: 22, size: 52 },
        ],
        series: [
          { label: 'context' },
          ...(['sift', 'stock'] as const).map((side) => ({
            label: LABELS[side],
            stroke: color(this.box, COLORS[side]),
            width: 0,
            paths: () => null,
            points: { show: true, size: 7, fill: color(this.box, COLORS[side]) },
            value: (_: uPlot, ms: number | null) => (ms === null ? '–' : `${ms.toFixed(1)} ms`),
          })),
        ],
      },
      this.data(),
      this.box,
    );
  }

  private data(): uPlot.AlignedData {
    const sorted = [...this.points].sort((a, b) => a.context - b.context);
    const of = (side: Side) => sorted.map((point) => (point.side === side ? point.milliseconds : null));
    return [sorted.map(({ context }) => context), of('sift'), of('stock')];
  }
}

/** The range of the contexts, with room for a single one. */
const wide: uPlot.Scale.Range = (_, low, high) => {
  if (low === null || high === null) return [0, 1024];
  const room = Math.max(16, (high - low) * 0.05);
  return [Math.max(0, low - room), high + room];
};

/** A colour of the page's. A canvas does not know `light-dark()`: only an element's computed colour says which of the two it is. */
function color(box: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  box.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
