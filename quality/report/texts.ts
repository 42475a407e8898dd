// Policies on texts that nothing was chosen on: quality/results/texts/*.json, one file for each text, of one model.
import { readdirSync, readFileSync } from 'node:fs';
import { markdownTable } from '../../lab/markdown.ts';
import { parseResults, type QualityResults } from './results.ts';
import { type TextRows, textChart } from './text-chart.ts';

const FOLDER = 'quality/results/texts';

/** The text that the models' kind of text is; the others are in their order by name after it. */
const USUAL = 'english';

/** Results by the name of the text. */
export function readTexts(): [name: string, results: QualityResults][] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort((a, b) => Number(b === USUAL) - Number(a === USUAL) || a.localeCompare(b))
    .map((name) => [name, parseResults(readFileSync(`${FOLDER}/${name}.json`, 'utf8'))]);
}

const percent = (value: number | null) => (value === null ? '–' : `${(100 * value).toFixed(1)}%`);
const kl = (value: number | null) => value?.toFixed(value >= 0.001 ? 4 : 5) ?? '–';

/** A row for each text and policy. */
export function textsTable(texts: readonly [string, QualityResults][]): string {
  const usual = new Map(texts[0]?.[1].results.map(({ policy, klMean }) => [policy, klMean]));
  return markdownTable(
    [
      'text',
      'policy',
      'ppl (exact)',
      'mean KL',
      'of that on English',
      '99%',
      'same top-1',
      'V rows',
      'kept mass',
    ],
    texts.flatMap(([name, { results }]) =>
      results
        .filter(({ policy }) => policy !== 'exact')
        .map((row) => [
          name,
          row.policy,
          `${row.ppl?.toFixed(1)} (${results[0]!.ppl?.toFixed(1)})`,
          kl(row.klMean),
          row.klMean === null || !usual.get(row.policy)
            ? '–'
            : (row.klMean / usual.get(row.policy)!).toFixed(2),
          kl(row.kl99),
          percent(row.top1),
          percent(row.keptGroup),
          row.keptMass?.toFixed(3) ?? '–',
        ]),
    ),
  );
}

/** The chart of all texts. */
export function textsChart(texts: readonly [string, QualityResults][]): string {
  const { model, dtype, prompt, steps } = texts[0]![1];
  const rows = texts.map(([name, { results }]): TextRows => ({ name, rows: results }));
  const title = `${model} model (${dtype}), prompt of ${prompt.toLocaleString('en')} tokens, ${steps} steps: text that nothing was chosen on`;
  return textChart(title, rows);
}
