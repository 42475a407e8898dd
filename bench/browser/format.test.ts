import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addCommunity, communityTable, implausible } from './community.ts';
import { type BenchRow, type BrowserBench, mergeBench, parseBench } from './format.ts';
import { benchPlot } from './plot.ts';
import { benchMarkdown, benchTable, browserName } from './table.ts';

const row = (changes: Partial<BenchRow> = {}): BenchRow => ({
  model: 'qwen3-0.6b',
  context: 2048,
  past: false,
  variant: 'stock',
  msMedian: 20,
  msP90: 25,
  turns: [19, 20, 21],
  steps: 48,
  firstStepMs: 30,
  firstTokenMs: 400,
  enableMs: null,
  keptGroup: null,
  siftedSteps: 0,
  cache: 'stock',
  ...changes,
});

const results = (changes: Partial<BrowserBench> = {}): BrowserBench => ({
  format: 1,
  date: '2026-12-01T00:00:00.000Z',
  version: '0.1.0',
  libraries: { web: '1.31.0' },
  browser: 'Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/156.0.0.0',
  adapter: { vendor: 'apple', architecture: 'metal-3', description: 'A laptop', software: false },
  isolated: true,
  threads: 4,
  models: [
    {
      name: 'qwen3-0.6b',
      dtype: 'q4f16',
      layers: 28,
      queryHeads: 16,
      kvHeads: 8,
      headSize: 128,
      loadMs: 4000,
      coldEnableMs: 3000,
      firstEnableMs: 900,
      enableStages: { observing: 500, compiling: 400 },
      siftFrom: null,
    },
  ],
  rows: [
    row(),
    row({
      variant: 'default',
      msMedian: 10,
      turns: [9, 10, 11],
      enableMs: 20,
      cache: 'shared',
      keptGroup: 0.1,
    }),
  ],
  missing: [{ model: 'qwen3-0.6b', context: 131_072, variant: 'stock', reason: 'no memory' }],
  ...changes,
});

describe('results of the whole-step benchmark', () => {
  test('what is written is read again, and a file of another form is refused with the field', () => {
    expect(parseBench(JSON.stringify(results()))).toEqual(results());
    expect(() => parseBench('{')).toThrow('The file is not JSON');
    const wrong = { ...results(), rows: [{ ...row(), msMedian: -1 }] };
    expect(() => parseBench(JSON.stringify(wrong))).toThrow(/rows\[0\]\.msMedian/);
    expect(() => parseBench(JSON.stringify({ ...results(), secret: 1 }))).toThrow(/secret/);
  });

  test('a later run takes the place of the same rows, and only of those', () => {
    const later = results({ rows: [row({ msMedian: 19 }), row({ context: 512 })], missing: [] });
    const { rows, missing } = mergeBench(results(), later);
    expect(rows.map(({ context, variant, msMedian }) => [context, variant, msMedian])).toEqual([
      [2048, 'default', 10],
      [2048, 'stock', 19],
      [512, 'stock', 20],
    ]);
    expect(missing).toHaveLength(1);
    expect(() => mergeBench(results({ version: '0.2.0' }), later)).toThrow('different machines or versions');
  });

  test('the table gives each variant beside stock, in the order of the lengths', () => {
    const table = benchTable(results({ rows: [...results().rows, row({ context: 512, msMedian: 9 })] }));
    const lines = table.split('\n').slice(2);
    expect(lines.map((line) => line.split(' | ').slice(1, 6))).toEqual([
      ['512', 'stock', '9.00', '25.0', '–'],
      ['2,048', 'stock', '20.0', '25.0', '–'],
      ['2,048', 'default', '10.0', '25.0', '2.00'],
    ]);
  });

  test('the page says where it was measured, what enabling is made of, and what is missing', () => {
    const page = benchMarkdown(results(), 'npm run bench:browser');
    expect(page).toContain('A laptop');
    expect(page).toContain('Chromium 156');
    expect(page).toContain('observing 0.50, compiling 0.40');
    expect(page).toContain('131,072 keys, stock: no memory');
    expect(browserName(results({ browser: 'Firefox/150.0' }))).toBe('Firefox 150');
  });

  test('the plot has a line for each variant', () => {
    const svg = benchPlot(results());
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg).not.toContain('NaN');
  });
});

describe('figures of other machines', () => {
  test('what cannot be right is not taken', () => {
    expect(implausible(results())).toBeUndefined();
    expect(implausible(results({ rows: [] }))).toBe('there are no rows');
    const { adapter } = results();
    expect(implausible(results({ adapter: { ...adapter, software: true } }))).toContain('software');
    expect(implausible(results({ rows: [row({ msMedian: 2 })] }))).toContain('not within its turns');
    expect(implausible(results({ rows: [row({ model: 'x' })] }))).toContain('not among the models');
    expect(implausible(results({ rows: [row(), row()] }))).toContain('there twice');
  });

  test('a file is checked, copied beside the others, and the table is made anew', () => {
    const folder = mkdtempSync(join(tmpdir(), 'community-'));
    const file = join(folder, 'sent.txt');
    writeFileSync(file, JSON.stringify(results()));
    expect(addCommunity(file, folder)).toBe(join(folder, 'a-laptop-2026-12-01.json'));
    expect(readdirSync(folder).sort()).toEqual(['README.md', 'a-laptop-2026-12-01.json', 'sent.txt']);
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toContain(communityTable([results()]));
    expect(communityTable([results()])).toContain('| 20.0 | 10.0 | 2.00 |');
  });
});
