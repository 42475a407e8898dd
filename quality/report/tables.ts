// Markdown tables of docs/quality.md.
import { markdownTable } from '../../lab/markdown.ts';
import type { GateTable } from '../gate.ts';
import type { HalfFigures, QualityResults, QualityRow } from './results.ts';
import {
  type MomentsRow,
  nameOf,
  type StudyFigures,
  type StudyPolicy,
  type StudyRow,
} from './study-policies.ts';

const percent = (value: number | null, digits = 1) =>
  value === null ? '–' : `${(100 * value).toFixed(digits)}%`;
const kl = (value: number | null) => value?.toFixed(value >= 0.001 ? 4 : 5) ?? '–';

/** Replaces what stands between `<!-- table:NAME -->` and `<!-- /table -->`. */
export function fillMarkers(document: string, tables: Record<string, string>): string {
  return document.replace(
    /(<!-- table:([\w-]+) -->\n)[\s\S]*?(<!-- \/table -->)/g,
    (whole, open: string, name: string, close: string) =>
      tables[name] === undefined ? whole : `${open}${tables[name]}\n${close}`,
  );
}

type Match = Partial<Record<keyof StudyPolicy, unknown>>;

/** Policies of the study's table, one lever after the other, then the baselines. */
const LEVERS: readonly (Match | null)[] = [
  null,
  { target: 'quantile', v: 0.875, law: 'step', fix: 'none' },
  { target: 'quantile', v: 0.9375, law: 'step', fix: 'none' },
  { target: 'quantile', v: 0.9375, law: 'step', fix: 'renorm' },
  { target: 'quantile', v: 0.875, law: 'length', fix: undefined, sel: undefined, share: undefined },
  { target: 'quantile', v: 0.875, law: 'length', fix: undefined, share: 1 },
  { target: 'quantile', v: 0.9375, law: 'length', fix: undefined, share: 1 },
  { target: 'quantile', v: 0.9375, law: 'length', fix: 'mean', share: 1 },
  { target: 'mass', v: 0.1, fix: 'mean', share: 1 },
  { target: 'quantile', v: 0.875, sel: 'sum', fix: 'mean', law: undefined, refit: undefined },
  { target: 'quantile', v: 0.875, sel: 'sum', fix: 'mean', law: 'prior' },
  { target: 'quantile', v: 0.875, sel: 'sum', fix: 'mean', refit: 256 },
  { target: 'uniform', v: 1, share: 1, fix: undefined, norm: undefined },
  { target: 'uniform', v: 1.3, share: 1, fix: 'mean' },
  { target: 'uniform', v: 0.7, share: 1, fix: 'cov' },
  { target: 'uniform', v: 1.3, share: 1, fix: 'cov' },
  { target: 'uniform', v: 2.2, share: 1, fix: 'cov' },
  ...[1, 2.5, 5].map((v) => ({ target: 'uniform', v, share: true, fix: 'cov', norm: 'sample:16,48,64,-1' })),
  { target: 'uniform', v: 1.5, sel: 'sum', fix: 'mean', weight: undefined },
  { target: 'uniform', v: 3, sel: 'sum', fix: 'cov', gain: 0.5 },
  { target: 'uniform', v: 3, sel: 'sum', fix: 'kreg' },
  { target: 'uniform', v: 3, sel: 'sum', fix: 'mean', norm: 'bound:64,256' },
  { target: 'probability', v: 1e-4, share: 1 },
  { target: 'quantile', v: 0.875, law: 'oracle', sel: undefined },
  { target: 'topk', v: 256, share: 1 },
  { target: 'topk', v: 512 },
  { target: 'window', v: 1024 },
  { target: 'h2o', v: 0.3 },
  { target: 'h2o', v: 0.15 },
  { target: 'skip', v: 800 },
];

function find(rows: readonly StudyRow[], match: Match | null): StudyRow {
  const found = rows.find(({ policy }) =>
    match === null || policy === null
      ? match === policy
      : Object.entries(match).every(([key, value]) => policy[key] === value),
  );
  if (!found) throw new Error(`The study has no ${JSON.stringify(match)}.`);
  return found;
}

/** Levers and baselines on both models; both halves of the text for the small one. */
export function studyTable(small: readonly StudyRow[], tiny: readonly StudyRow[]): string {
  const cells = (a: StudyFigures, b: StudyFigures) => [
    `${percent(a.keptGroup)} / ${percent(b.keptGroup)}`,
    `${kl(a.klMean)} / ${kl(b.klMean)}`,
    `${percent(a.top1)} / ${percent(b.top1)}`,
  ];
  return markdownTable(
    ['policy', 'small: V rows', 'mean KL', 'same top-1', 'tiny: V rows', 'mean KL', 'same top-1'],
    LEVERS.map((match) => {
      const [a, b] = [find(small, match), find(tiny, match)];
      return [nameOf(a.policy), ...cells(a.tune, a.confirm), ...cells(b.tune, b.confirm)];
    }),
  );
}

/** When the moments of V are measured again, and what heads its column. */
const AGAIN: readonly (readonly [number | string | undefined, string])[] = [
  [undefined, 'once'],
  [512, 'every 512'],
  ['x2', 'doubled'],
  ['x1.25', 'a quarter'],
  ['x1.1,512', 'a tenth, or 512'],
  [64, 'every 64'],
];

/**
 * 2.5/S with its moments of V measured again at several times: mean KL on either half, a row per model and prompt. At 1/S and 5/S what
 * was done before, and what is done now.
 */
export function momentsTable(rows: readonly MomentsRow[]): string {
  const match = { target: 'uniform', fix: 'cov', gain: 0.5, norm: 'sample:16,48,64,-1' };
  const cases = [...new Set(rows.map(({ model, prompt }) => `${model} ${prompt}`))];
  return markdownTable(
    [
      ...['model', 'prompt', 'V rows', ...AGAIN.map(([, name]) => `2.5/S: ${name}`)],
      ...[1, 5].map((v) => `${v}/S: every 512, a tenth or 512`),
    ],
    cases.map((name) => {
      const own = rows.filter(({ model, prompt }) => `${model} ${prompt}` === name);
      const at = (v: number, moments: number | string | undefined) => {
        const { tune, confirm } = find(own, { ...match, v, moments });
        return `${kl(tune.klMean)} / ${kl(confirm.klMean)}`;
      };
      const { tune, confirm } = find(own, { ...match, v: 2.5, moments: undefined });
      return [
        own[0]!.model,
        own[0]!.prompt.toLocaleString('en'),
        `${percent(tune.keptGroup)} / ${percent(confirm.keptGroup)}`,
        ...AGAIN.map(([moments]) => at(2.5, moments)),
        ...[1, 5].map((v) => `${at(v, 512)}, ${at(v, 'x1.1,512')}`),
      ];
    }),
  );
}

/** A figure over all sequences or, where both halves of the text were measured, of either half. */
const ofHalves = (row: QualityRow, text: (figures: HalfFigures) => string): string =>
  row.first && row.second && text(row.first) !== '–' ? `${text(row.first)} / ${text(row.second)}` : text(row);

/** A results file's rows. */
export function measuredTable({ results }: QualityResults): string {
  return markdownTable(
    [
      'policy',
      'ppl',
      'mean KL',
      'median',
      '99%',
      'same top-1',
      'kept',
      'V rows',
      'K and V saved',
      'mass',
      'drift',
    ],
    results.map((row) => [
      row.policy,
      row.ppl?.toFixed(3) ?? '–',
      ofHalves(row, ({ klMean }) => kl(klMean)),
      kl(row.klMedian),
      row.kl99?.toFixed(4) ?? '–',
      ofHalves(row, ({ top1 }) => percent(top1)),
      percent(row.keptHead),
      ofHalves(row, ({ keptGroup }) => percent(keptGroup)),
      percent(row.savedKv),
      row.keptMass?.toFixed(4) ?? '–',
      row.driftChange === null ? '–' : `${row.driftChange < 0 ? '' : '+'}${percent(row.driftChange)}`,
    ]),
  );
}

/** Exact answers by task, of those asked. */
export function tasksTable({ results }: QualityResults): string {
  const tasks = Object.entries(results[0]?.tasks ?? {});
  if (tasks.length === 0) return 'No tasks were run.';
  return markdownTable(
    ['policy', ...tasks.map(([name, { asked }]) => `${name} (of ${asked})`), 'tokens'],
    results
      .filter((row) => tasks.every(([name]) => row.tasks[name]))
      .map((row) => [
        row.policy === 'exact' ? 'stock' : row.policy,
        ...tasks.map(([name]) => String(row.tasks[name]!.exact)),
        percent(Object.values(row.tasks).reduce((sum, { tokens }) => sum + tokens, 0) / tasks.length),
      ]),
  );
}

interface PowerLawRow {
  prompt: number;
  tau: number;
  axis: 'step' | 'length';
  beta: number[];
  r2: number[];
  betaAll: number[];
  r2All: number[];
  error: number[];
  errorFixed: number[];
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** The tau-quantile's power law: both models at tau 0.875, exponents and R2 by layer on the step axis. */
export function powerLawTable(models: Record<string, { rows: PowerLawRow[] }>): string {
  const list = (values: readonly number[]) => values.map((value) => value.toFixed(2)).join(' ');
  const rows = Object.entries(models).flatMap(([model, { rows }]) =>
    rows
      .filter(({ tau, axis }) => tau === 0.875 && axis === 'step')
      .map((step) => {
        const length = rows.find(
          (row) => row.prompt === step.prompt && row.tau === step.tau && row.axis === 'length',
        )!;
        return [
          model,
          step.prompt.toLocaleString('en'),
          list(step.beta),
          list(step.r2),
          `${mean(step.betaAll).toFixed(2)}, ${mean(step.r2All).toFixed(2)}`,
          `${mean(length.beta).toFixed(1)}, ${mean(length.r2).toFixed(2)}`,
          [mean(step.error), mean(length.error), mean(step.errorFixed), mean(length.errorFixed)]
            .map((value) => value.toFixed(2))
            .join(', '),
        ];
      }),
  );
  return markdownTable(
    [
      'model',
      'prompt',
      'β by layer, step axis',
      'R² by layer',
      'β, R² over all 1,024 steps',
      'β, R² on the length axis',
      'error: step, length, constant, 1/S',
    ],
    rows,
  );
}

/** The gate's committed figures. */
export function gateTable({ stock, policies }: GateTable): string {
  return markdownTable(
    ['policy', 'mean KL', 'V rows', "code's tokens recalled (stock)"],
    Object.entries(policies).map(([policy, { all }]) => [
      policy,
      kl(all.kl),
      percent(all.keptGroup),
      `${all.recalled} of ${all.asked} (${stock.recalled})`,
    ]),
  );
}
