import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  bytesOf,
  memoryOf,
  parseScreened,
  type ScreenedFigures,
  type ScreenedPolicy,
  type ScreenedResults,
  type ScreenedTextRow,
  screenedLengthsTable,
  screenedName,
  screenedSettings,
  screenedStressTable,
  screenedTable,
  screenedTasksTable,
} from './screened.ts';

const shadow = (c: number): ScreenedPolicy => ({
  c,
  stages: [
    [2, 0],
    ['exact', c],
  ],
});
const graded: ScreenedPolicy = {
  c: 1,
  stages: [
    [2, 0],
    [6, 1],
    ['exact', 10],
  ],
  v4: 10,
};
const figures = (klMean: number, bytesK: number, sequences = 1): ScreenedFigures => ({
  ...{ sequences, ppl: 8, klMean, top1: 0.99 },
  ...{ bytesShadow: 0.06, bytesK, bytesV: 0.04, bytesFixed: 0.01 },
});
const row = (
  run: ScreenedTextRow['run'],
  model: string,
  policy: ScreenedPolicy | null,
  first: ScreenedFigures,
  second?: ScreenedFigures,
): ScreenedTextRow => ({ run, model, policy, prompt: 4096, steps: 1024, first, ...(second && { second }) });
const study = (...rows: ScreenedResults['rows']): ScreenedResults => ({
  ...{ plan: 'full', machine: 'NVIDIA H200' },
  rows,
});

const measured = parseScreened(readFileSync('quality/results/screened.json', 'utf8'));

test('every policy that was measured has a name of its own', () => {
  const texts = new Set(measured.rows.map(({ policy }) => JSON.stringify(policy)));
  expect(new Set(measured.rows.map(({ policy }) => screenedName(policy))).size).toBe(texts.size);
});

test('the measured frontier has the 2-bit shadow and V alone at the same levels, on both models and both halves', () => {
  const levels = (model: string, name: string) =>
    measured.rows
      .filter((line): line is ScreenedTextRow => line.run === 'frontier' && line.model === model)
      .filter(({ policy, first, second }) => screenedName(policy).startsWith(name) && first && second)
      .map(({ policy }) => screenedName(policy).replace(/.*c = /, ''))
      // Policies that differ in more than the level have words after it.
      .filter((level) => !level.includes(','));
  for (const model of ['small', 'tiny']) {
    expect(levels(model, '2-bit shadow')).toEqual(['1', '1.25', '1.5', '2', '2.5', '3', '3.5', '5']);
    expect(levels(model, 'V alone')).toEqual(levels(model, '2-bit shadow'));
  }
});

test('bytes are those of the shadow, of exact K and of V; exact attention reads all', () => {
  expect(bytesOf(figures(0, 0.05))).toBeCloseTo(0.15, 12);
  expect(bytesOf({ sequences: 1, ppl: 8, klMean: 0, top1: 1 })).toBe(1);
});

test('memory follows from the formats', () => {
  expect(memoryOf(shadow(2.5), 64)).toEqual({ more: 17 / 256 });
  expect(memoryOf(shadow(2.5), 128)).toEqual({ more: 33 / 512 });
  // 6 bits, a byte of scale, and V in 4 bits.
  expect(memoryOf(graded, 64)).toEqual({ more: (48 + 1 + 32) / 256 });
  expect(memoryOf({ target: 'uniform', v: 1 }, 64)).toEqual({ more: 0 });
  expect(memoryOf({ stored: 8 }, 64)).toEqual({ whole: (128 + 8) / 256 });
  expect(memoryOf({ stored: 2 }, 64)).toEqual({ whole: (32 + 8 + 4) / 256 });
});

test('the frontier has a line for each policy, both halves of both models, and a dash for what is missing', () => {
  const table = screenedTable(
    study(
      row('frontier', 'small', null, { sequences: 1, ppl: 8, klMean: 0, top1: 1 }),
      row('frontier', 'small', shadow(2.5), figures(0.0004, 0.05), figures(0.0012, 0.06)),
      row('frontier', 'small', graded, figures(0.0002, 0.01)),
      row('frontier', 'tiny', shadow(2.5), figures(0.002, 0.07), figures(0.003, 0.08)),
    ),
  );
  expect(table.split('\n').slice(2)).toEqual([
    '| 2-bit shadow, c = 2.5 | +6.6% | 15.0% / 16.0% | 0.00040 / 0.0012 | 99.0% / 99.0% | 17.0% / 18.0% | 0.0020 / 0.0030 | 99.0% / 99.0% |',
    '| graded: 2, 6 bits, then exact, V in 4 bits, c = 1 | +31.6% | 11.0% / – | 0.00020 / – | 99.0% / – | – / – | – / – | – / – |',
  ]);
});

test('outliers stand beside the same policy without them', () => {
  const table = screenedStressTable(
    study(
      row('frontier', 'small', shadow(1), figures(0.9, 0.05)),
      row('frontier', 'small', shadow(2.5), figures(0.0004, 0.05)),
      row('frontier', 'tiny', shadow(2.5), figures(0.8, 0.05)),
      row('stress', 'small', shadow(2.5), figures(0.0006, 0.06)),
    ),
  );
  expect(table.split('\n').slice(2)).toEqual([
    '| small | 2-bit shadow, c = 2.5 | 15.0% / – | 0.00040 / – | 16.0% / – | 0.00060 / – |',
  ]);
});

test('a line for each length, with all policies', () => {
  const at = (prompt: number, klMean: number) => ({
    ...row('length', 'small', shadow(2.5), figures(klMean, 0.05)),
    prompt,
  });
  expect(
    screenedLengthsTable(study(at(1024, 0.0021), at(7168, 0.0002)))
      .split('\n')
      .slice(2),
  ).toEqual(['| 2,048 | 15.0% / – | 0.0021 / – |', '| 8,192 | 15.0% / – | 0.00020 / – |']);
});

test("tasks have each policy's right answers, and how many differ in all", () => {
  const task = (name: string, policy: ScreenedPolicy | null, right: number, unlike: number) => ({
    ...{ run: 'tasks' as const, model: 'tiny', task: name, policy },
    ...{ asked: 9, right, unlike },
  });
  const rows = [
    task('recall:1024', null, 9, 0),
    task('recall:1024', shadow(2.5), 8, 1),
    task('recall:2048', null, 7, 0),
    task('recall:2048', shadow(2.5), 7, 2),
  ];
  expect(screenedTasksTable(study(...rows)).split('\n')).toEqual([
    '| tiny: policy | recall:1024 (of 9) | recall:2048 (of 9) | unlike exact |',
    '| --- | --- | --- | --- |',
    '| exact | 9 | 7 | 0 |',
    '| 2-bit shadow, c = 2.5 | 8 | 7 | 3 |',
  ]);
});

test('what was not measured is said to be so', () => {
  const nothing = study();
  for (const table of [screenedTable, screenedLengthsTable, screenedStressTable, screenedTasksTable])
    expect(table(nothing)).toBe('Not measured yet.');
});

test('the settings are those of the rows', () => {
  const text = screenedSettings(
    study(
      row('frontier', 'tiny', null, figures(0, 1, 3), figures(0, 1, 2)),
      row('stress', 'small', null, figures(0, 1)),
    ),
  );
  expect(text).toBe(
    'The tables are of the full plan, run on an NVIDIA H200. The tiny model decodes 1,024 steps after prompts of 4,096 tokens, in 3 + 2 sequences of the two halves of dev.txt.',
  );
});

test('a policy that is none of the known forms is refused', () => {
  const text = (policy: object) =>
    JSON.stringify(
      study({ ...row('frontier', 'small', null, figures(0, 1)), policy: policy as ScreenedPolicy }),
    );
  expect(() => parseScreened(text({ stages: [[2, 0]] }))).toThrow();
  expect(parseScreened(text(graded)).rows[0]!.policy).toEqual(graded);
});
