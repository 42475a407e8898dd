import type { SiftReport, SiftSummary } from '../../../src/index.ts';
import { create } from './dom.ts';
import { percent, short } from './format.ts';

/** Shows the report: a sentence, a row for each layer, and all of it. */
export function showDetails(report: SiftReport, summary: SiftSummary): void {
  document.getElementById('sentence')!.textContent = summary.sentence;
  document.getElementById('report')!.textContent = JSON.stringify(report, null, 1);
  const cell = (text: string) => create('td', { textContent: text });
  const rows = report.layers.map((layer) => {
    const thresholds = layer.heads
      .map(({ threshold }) => threshold)
      .filter((it): it is number => it !== null);
    const range =
      thresholds.length > 0 ? `${short(Math.min(...thresholds))} to ${short(Math.max(...thresholds))}` : '–';
    return create(
      'tr',
      {},
      create('th', { scope: 'row', textContent: String(layer.layer) }),
      cell(layer.keptHead === null ? '–' : percent(layer.keptHead)),
      cell(layer.keptGroup === null ? '–' : percent(layer.keptGroup)),
      cell(range),
      cell([...new Set(layer.heads.map(({ status }) => status))].join(', ') || '–'),
    );
  });
  const heads = ['layer', 'kept by a head', 'V rows read', 'thresholds', 'status'].map((text) =>
    create('th', { scope: 'col', textContent: text }),
  );
  document
    .getElementById('layers')!
    .replaceChildren(create('thead', {}, create('tr', {}, ...heads)), create('tbody', {}, ...rows));
}
