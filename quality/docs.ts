// npm run quality:docs makes the tables of docs/quality.md, which lie between markers, and the plots, from quality/results.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseConversations } from './conversations/results.ts';
import { conversationsTable } from './conversations/table.ts';
import { assumptionsTable, bandwidthTable, MODELS } from './report/bandwidth.ts';
import { frontierPlot } from './report/plot.ts';
import { parseResults, type QualityRow } from './report/results.ts';
import {
  parseScreened,
  screenedLengthsTable,
  screenedSettings,
  screenedStressTable,
  screenedTable,
  screenedTasksTable,
} from './report/screened.ts';
import { parseMoments, parseStudy } from './report/study-policies.ts';
import {
  fillMarkers,
  gateTable,
  measuredTable,
  momentsTable,
  powerLawTable,
  studyTable,
  tasksTable,
} from './report/tables.ts';
import { readTexts, textsChart, textsTable } from './report/texts.ts';

const DOC = 'docs/quality.md';
const BANDWIDTH = 'docs/lab/bandwidth.md';
const file = (name: string) => readFileSync(`quality/results/${name}.json`, 'utf8');

/** Rows measured through the adapter: of the results file, and of the comparison of paper mode for what that lacks. */
function measured(model: string): Pick<QualityRow, 'policy' | 'klMean' | 'keptGroup'>[] {
  const own = existsSync(`quality/results/${model}.json`) ? parseResults(file(model)).results : [];
  const paper: QualityRow[] = model === 'small' ? JSON.parse(file('small-paper')).results : [];
  return [...own, ...paper.filter(({ policy }) => !own.some((row) => row.policy === policy))];
}

/** The document's tables by marker. */
export function tables(): Record<string, string> {
  const [small, tiny] = [parseStudy(file('study-small')), parseStudy(file('study-tiny'))];
  const results = (['small', 'tiny'] as const)
    .filter((model) => existsSync(`quality/results/${model}.json`))
    .map((model) => [model, parseResults(file(model))] as const);
  const screened = parseScreened(file('screened'));
  return {
    study: studyTable(small, tiny),
    'screened-settings': screenedSettings(screened),
    screened: screenedTable(screened),
    'screened-lengths': screenedLengthsTable(screened),
    'screened-stress': screenedStressTable(screened),
    'screened-tasks': screenedTasksTable(screened),
    moments: momentsTable(parseMoments(file('study-moments'))),
    powerlaw: powerLawTable(JSON.parse(file('powerlaw'))),
    texts: textsTable(readTexts()),
    ...Object.fromEntries(
      (['small', 'tiny'] as const).map((model) => [
        `conversations-${model}`,
        conversationsTable(parseConversations(file(`conversations-${model}`)).rows),
      ]),
    ),
    gate: gateTable(JSON.parse(file('gate'))),
    ...Object.fromEntries(
      results.flatMap(([model, found]) => [
        [`measured-${model}`, measuredTable(found)],
        [`tasks-${model}`, tasksTable(found)],
      ]),
    ),
  };
}

/** The document with its tables as the results have them. */
export const filledDocument = (): string => fillMarkers(readFileSync(DOC, 'utf8'), tables());

/** The tables of docs/lab/bandwidth.md, by marker. */
export const bandwidthTables = (): Record<string, string> =>
  Object.fromEntries(
    MODELS.flatMap((model) => [
      [model.marker, bandwidthTable(model)],
      [`${model.marker}-assumptions`, assumptionsTable(model)],
    ]),
  );

/** docs/lab/bandwidth.md with its tables. */
export const filledBandwidth = (): string => fillMarkers(readFileSync(BANDWIDTH, 'utf8'), bandwidthTables());

if (process.argv[1]?.endsWith('docs.ts')) {
  writeFileSync(DOC, filledDocument());
  writeFileSync(BANDWIDTH, filledBandwidth());
  writeFileSync('quality/results/texts.svg', `${textsChart(readTexts())}\n`);
  for (const [model, prompt] of [
    ['small', '4,096'],
    ['tiny', '2,048'],
  ] as const) {
    const title = `${model} model, prompt of ${prompt} tokens: what the V rows that are read buy`;
    const svg = frontierPlot(title, parseStudy(file(`study-${model}`)), measured(model));
    writeFileSync(`quality/results/frontier-${model}.svg`, `${svg}\n`);
  }
}
