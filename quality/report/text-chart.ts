// A chart of what policies cost on texts: KL against the share of V rows that are read, a point for each policy.
import * as echarts from 'echarts';
import type { QualityRow } from './results.ts';

/** Where exact attention is drawn, which has no KL: a logarithmic axis has no 0. */
const FLOOR = 1e-6;

const COLOURS = ['#2166ac', '#b2182b', '#1b7837', '#e08214', '#5e3c99'];
const SYMBOLS = ['circle', 'rect', 'triangle', 'diamond', 'pin'];

/** Rows of one text. */
export interface TextRows {
  name: string;
  rows: readonly Pick<QualityRow, 'policy' | 'klMean' | 'keptGroup'>[];
}

/** A policy's name as the chart has it. */
const short = (policy: string): string => policy.replace(/^preset:/, '').replace(/,warmup=\d+/, '');

/** The chart as SVG. Points of one text are joined from the policy that reads most to the one that reads least. */
export function textChart(title: string, texts: readonly TextRows[]): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 960, height: 600 });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, left: 16, top: 10, textStyle: { fontSize: 15 } },
    legend: { orient: 'vertical', right: 12, top: 56, itemGap: 9, textStyle: { fontSize: 12 } },
    grid: { left: 78, right: 200, top: 56, bottom: 58 },
    xAxis: {
      type: 'log',
      logBase: 2,
      min: 2,
      max: 128,
      name: 'V rows read (at least one head of the KV group), %',
      nameLocation: 'middle',
      nameGap: 32,
    },
    yAxis: {
      type: 'log',
      min: FLOOR,
      max: 1,
      name: 'mean KL against exact attention, nats per token (exact: 0, at the bottom)',
      nameLocation: 'middle',
      nameGap: 56,
      axisLabel: { formatter: (value: number) => value.toExponential(0) },
    },
    series: texts.map(({ name, rows }, i) => ({
      name,
      type: 'line' as const,
      data: rows
        .flatMap(({ policy, klMean, keptGroup }) =>
          klMean === null
            ? []
            : [{ value: [100 * (keptGroup ?? 1), Math.max(FLOOR, klMean)], name: short(policy) }],
        )
        .sort((a, b) => b.value[0]! - a.value[0]!),
      symbol: SYMBOLS[i % SYMBOLS.length]!,
      symbolSize: 10,
      lineStyle: { width: 1, opacity: 0.4 },
      itemStyle: { color: COLOURS[i % COLOURS.length]! },
      // With several texts the points lie close together: one text's names are enough.
      label: { show: i === 0, position: 'right' as const, formatter: '{b}', fontSize: 11 },
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
