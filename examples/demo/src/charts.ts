import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { percent, short } from './format.ts';
import type { Point } from './history.ts';

const HEIGHT = 220;

interface Line {
  label: string;
  /** CSS variable of its colour. */
  color: string;
  dash?: number[];
  width?: number;
  points?: boolean;
}

interface VerticalAxis {
  scale: uPlot.Scale;
  /** Label of a grid line; null: no line there. */
  tick: (at: number) => string | null;
  /** A value for the legend. */
  value: (at: number) => string;
}

const isDecade = (value: number): boolean => {
  const exponent = Math.log10(value);
  return Math.abs(exponent - Math.round(exponent)) < 1e-6;
};

/** Charts over the decode steps, redrawn when the page's width or colours change. */
export class Charts {
  private charts: uPlot[] = [];
  private points: readonly Point[] = [];
  private warmup = 0;
  private steps = 1;

  constructor(
    private readonly thresholds: HTMLElement,
    private readonly kept: HTMLElement,
  ) {
    this.build();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.build());
    new ResizeObserver(() => this.resize()).observe(thresholds);
  }

  /** @param steps decode steps that there will be */
  show(points: readonly Point[], warmup: number, steps: number): void {
    this.points = points;
    this.warmup = warmup;
    this.steps = Math.max(steps, 1);
    this.charts[0]?.setData(thresholdData(points));
    this.charts[1]?.setData(keptData(points));
    if (points.length > 0) for (const chart of this.charts) chart.setLegend({ idx: points.length - 1 });
    const drawn = points.filter((point) => point.threshold !== null).length;
    this.thresholds.dataset.points = String(drawn);
    this.kept.dataset.points = String(points.length);
    const last = points.at(-1);
    this.thresholds.ariaLabel = last?.threshold
      ? `Threshold after ${last.step} steps: mean ${short(last.threshold.mean)}, from ${short(last.threshold.low)} to ${short(last.threshold.high)}.`
      : 'Threshold: none yet.';
    this.kept.ariaLabel = last
      ? `Kept after ${last.step} steps: ${percent(last.keptHead)} per head, ${percent(last.keptGroup)} of the V rows read.`
      : 'Kept fraction: none yet.';
  }

  private build(): void {
    for (const chart of this.charts) chart.destroy();
    this.charts = [
      this.chart(
        this.thresholds,
        [
          { label: 'mean', color: '--sift', width: 2.5, points: true },
          { label: 'smallest head', color: '--sift', width: 0.5 },
          { label: 'largest head', color: '--sift', width: 0.5 },
          { label: '1 / length', color: '--muted', dash: [4, 4] },
        ],
        {
          scale: {
            distr: 3,
            range: (_, low, high) => (low ? uPlot.rangeLog(low, high ?? low, 10, true) : [1e-5, 1e-1]),
          },
          tick: (value) => (isDecade(value) ? value.toExponential(0) : null),
          value: short,
        },
      ),
      this.chart(
        this.kept,
        [
          { label: 'kept by a head', color: '--sift', width: 2.5, points: true },
          { label: 'V rows read (KV group)', color: '--second', width: 2.5, points: true },
        ],
        {
          scale: { range: [0, 1] },
          tick: (value) => percent(value, 0),
          value: (value) => percent(value, 0),
        },
      ),
    ];
    this.charts[0]!.addBand({
      series: [3, 2],
      fill: `color-mix(in srgb, ${css('--sift')} 18%, transparent)`,
    });
    this.show(this.points, this.warmup, this.steps);
  }

  private chart(parent: HTMLElement, lines: Line[], { scale, tick, value }: VerticalAxis): uPlot {
    const axis = {
      stroke: css('--muted'),
      grid: { stroke: css('--line'), width: 1 },
      ticks: { show: false },
    };
    return new uPlot(
      {
        width: Math.max(parent.clientWidth, 200),
        height: HEIGHT,
        cursor: { y: false, drag: { x: false, y: false } },
        scales: { x: { time: false, range: () => [0, this.steps] }, y: scale },
        axes: [
          { ...axis, size: 32, incrs: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] },
          {
            ...axis,
            size: 56,
            grid: {
              ...axis.grid,
              filter: (_, splits) => splits.map((at) => (tick(at) === null ? null : at)),
            },
            filter: (_, splits) => splits,
            values: (_, splits) => splits.map((at) => tick(at) ?? ''),
          },
        ],
        series: [
          { label: 'step' },
          ...lines.map(({ label, color, dash, width = 1.5, points = false }) => ({
            label,
            stroke: css(color),
            width,
            ...(dash ? { dash } : {}),
            points: { show: points, size: 6, fill: css(color) },
            value: (_: uPlot, at: number | null) => (at === null ? '–' : value(at)),
          })),
        ],
        hooks: { drawClear: [(chart) => this.shadeWarmup(chart)] },
      },
      [[], ...lines.map(() => [])],
      parent,
    );
  }

  /** A tint behind the steps in which every row is read and thresholds are learned. */
  private shadeWarmup(chart: uPlot): void {
    if (this.warmup === 0) return;
    const { ctx, bbox } = chart;
    const left = chart.valToPos(0, 'x', true);
    const right = Math.min(chart.valToPos(this.warmup, 'x', true), bbox.left + bbox.width);
    ctx.save();
    ctx.fillStyle = css('--shade');
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.restore();
  }

  private resize(): void {
    for (const chart of this.charts) {
      const width = chart.root.parentElement?.clientWidth ?? 0;
      if (width > 0 && width !== chart.width) chart.setSize({ width, height: HEIGHT });
    }
  }
}

/** The value of a colour variable as a canvas understands it. */
function css(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function thresholdData(points: readonly Point[]): uPlot.AlignedData {
  return [
    points.map((point) => point.step),
    points.map((point) => point.threshold?.mean ?? null),
    points.map((point) => point.threshold?.low ?? null),
    points.map((point) => point.threshold?.high ?? null),
    points.map((point) => point.uniform),
  ];
}

function keptData(points: readonly Point[]): uPlot.AlignedData {
  return [
    points.map((point) => point.step),
    points.map((point) => point.keptHead),
    points.map((point) => point.keptGroup),
  ];
}
