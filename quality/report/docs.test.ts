import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { filledDocument } from '../docs.ts';
import { frontierPlot } from './plot.ts';
import { familyOf, nameOf, parseStudy } from './study-policies.ts';
import { fillMarkers } from './tables.ts';

test('docs/quality.md has the tables that the results give (npm run quality:docs)', () => {
  expect(filledDocument() === readFileSync('docs/quality.md', 'utf8')).toBe(true);
});

test('only what lies between markers of a known name is replaced', () => {
  const text = 'a\n<!-- table:x -->\nold\n<!-- /table -->\nb\n<!-- table:y -->\nkept\n<!-- /table -->\n';
  expect(fillMarkers(text, { x: 'new' })).toBe(text.replace('old', 'new'));
});

test.each(['small', 'tiny'])(
  'every policy of the %s study has a family, a name of its own and a place in the plot',
  (model) => {
    const rows = parseStudy(readFileSync(`quality/results/study-${model}.json`, 'utf8'));
    const names = rows.map(({ policy }) => nameOf(policy));
    expect(rows.length).toBeGreaterThan(150);
    expect(new Set(names).size).toBe(rows.length);
    // Exact attention, and the rows that sift one layer alone.
    const drawn = rows.filter(({ policy }) => familyOf(policy) !== null);
    expect(rows.filter(({ policy }) => policy !== null && !policy.only)).toHaveLength(drawn.length);
    const measured = [{ policy: 'paper:0.5', klMean: 0.001, keptGroup: 0.5 }];
    const svg = frontierPlot('title', rows, measured);
    expect(svg).toContain('paper:0.5');
    const shapes = svg.match(/<path /g)!.length;
    const small = drawn.filter(({ confirm }) => confirm.klMean < 1e-5).length;
    expect(shapes).toBeGreaterThanOrEqual(drawn.length - small);
  },
);
