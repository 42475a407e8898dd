import { expect, test } from 'vitest';
import { textChart } from './text-chart.ts';

test('a chart has a point for each policy of each text, exact attention among them', () => {
  const rows = [
    { policy: 'exact', klMean: 0, keptGroup: null },
    { policy: 'preset:high', klMean: 1e-4, keptGroup: 0.2 },
    { policy: 'paper:0.875,warmup=8', klMean: 1e-2, keptGroup: 0.3 },
    { policy: 'preset:fast', klMean: null, keptGroup: null },
  ];
  const svg = textChart('Title', [
    { name: 'german', rows },
    { name: 'code', rows: rows.slice(0, 2) },
  ]);
  for (const word of ['Title', 'german', 'code', 'exact', 'high', 'paper:0.875'])
    expect(svg).toContain(`>${word}<`);
  expect(svg).not.toContain('>fast<');
});
