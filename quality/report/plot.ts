// The frontier plot of a model: KL against V rows read, from the study and from what was measured through the adapter.
import * as echarts from 'echarts';
import type { QualityRow } from './results.ts';
import { FAMILIES, type Family, familyOf, nameOf, type StudyRow } from './study-policies.ts';

/** Colour and symbol of each family: colours that stay apart for the colour-blind, symbols where these are not enough. */
const LOOK: Record<Family, [colour: string, symbol: string]> = {
  'paper (free fit, not renormalised)': ['#b2182b', 'diamond'],
  'learned, renormalised': ['#ef8a62', 'circle'],
  'learned, mean V': ['#e08214', 'rect'],
  'c/S, renormalised': ['#4393c3', 'circle'],
  'c/S, mean V': ['#2166ac', 'rect'],
  'c/S, mean V + Cov q': ['#053061', 'triangle'],
  'c/S, other corrections': ['#5e3c99', 'circle'],
  'c/S, estimated normaliser': ['#35978f', 'circle'],
  'c/S, weighted or by layer': ['#80cdc1', 'rect'],
  'fixed probability': ['#1b7837', 'circle'],
  "each step's own quantile or mass": ['#c51b7d', 'circle'],
  'exact top-k': ['#7f3b08', 'triangle'],
  'newest rows and sinks': ['#4d4d4d', 'rect'],
  'H2O-style': ['#878787', 'diamond'],
  'skip-softmax': ['#bababa', 'triangle'],
};

/** What is asked of a default and of `high`: V rows read at most, KL at most. */
const TARGETS = [
  { name: 'asked of the default', rows: 12, kl: 0.001 },
  { name: 'asked of high', rows: 22, kl: 0.00025 },
] as const;

/** The least KL that is drawn. */
const FLOOR = 1e-5;

type Point = { value: [rows: number, kl: number]; name: string };

/**
 * The plot as SVG.
 * @param study its confirming half is drawn.
 * @param measured rows measured through the adapter.
 */
export function frontierPlot(
  title: string,
  study: readonly StudyRow[],
  measured: readonly Pick<QualityRow, 'policy' | 'klMean' | 'keptGroup'>[],
): string {
  const points = (family: Family): Point[] =>
    study
      .filter((row) => familyOf(row.policy) === family && row.confirm.klMean >= FLOOR)
      .map((row) => ({
        value: [100 * row.confirm.keptGroup, row.confirm.klMean],
        name: nameOf(row.policy),
      }));
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 1080, height: 680 });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, left: 16, top: 10, textStyle: { fontSize: 15 } },
    legend: {
      orient: 'vertical',
      right: 12,
      top: 56,
      itemWidth: 12,
      itemHeight: 12,
      itemGap: 9,
      textStyle: { fontSize: 12 },
    },
    grid: { left: 78, right: 300, top: 56, bottom: 58 },
    xAxis: {
      type: 'log',
      logBase: 2,
      min: 2,
      max: 128,
      name: 'V rows read (at least one head of the KV group), %',
      nameLocation: 'middle',
      nameGap: 32,
      minorSplitLine: { show: true },
    },
    yAxis: {
      type: 'log',
      min: FLOOR,
      max: 0.1,
      name: 'mean KL against exact attention, nats per token',
      nameLocation: 'middle',
      nameGap: 56,
      axisLabel: { formatter: (value: number) => value.toExponential(0) },
      minorSplitLine: { show: true },
    },
    series: [
      ...FAMILIES.map((family) => ({
        name: family,
        type: 'scatter' as const,
        data: points(family),
        symbol: LOOK[family][1],
        symbolSize: 8,
        itemStyle: { color: LOOK[family][0], opacity: 0.85 },
      })),
      {
        name: 'measured through the adapter',
        type: 'scatter' as const,
        data: measured
          .filter((row) => row.keptGroup !== null && row.klMean !== null && row.klMean >= FLOOR)
          .map((row): Point => ({ value: [100 * row.keptGroup!, row.klMean!], name: row.policy })),
        symbol: 'emptyCircle',
        symbolSize: 14,
        itemStyle: { color: '#000000', borderColor: '#000000' },
        label: { show: true, position: 'right' as const, formatter: '{b}', fontSize: 11, color: '#000000' },
        labelLayout: { hideOverlap: true },
      },
      ...TARGETS.map(({ name, rows, kl }) => ({
        name,
        type: 'line' as const,
        showSymbol: false,
        silent: true,
        data: [
          [2, kl],
          [rows, kl],
          [rows, FLOOR],
        ],
        lineStyle: { color: '#555555', type: 'dashed' as const, width: 1 },
        itemStyle: { color: '#555555' },
        endLabel: { show: false },
      })),
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
