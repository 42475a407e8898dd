// Carries out the plan of a run: sequences and tasks under stock and under each policy. Results are kept as they come.
import { markdownTable } from '../../lab/markdown.ts';
import type { Evaluator, SequenceOptions } from '../evaluation/evaluator.ts';
import { type SequenceFigures, summarise } from '../evaluation/figures.ts';
import type { QualityRow } from '../report/results.ts';
import { type Hits, score, type Task } from '../tasks/index.ts';
import type { Sequence } from './corpus.ts';
import type { Shard } from './options.ts';
import type { Store } from './store.ts';

export interface Plan {
  /** Texts of policies (quality/plan/policy-syntax.ts). */
  policies: readonly string[];
  sequences: readonly Sequence[];
  options: SequenceOptions;
  tasks: readonly Task[];
}

const figuresKey = (policy: string, { start }: Sequence): string => `${policy} @${start}`;
const taskKey = (policy: string, { name }: Task): string => `${policy} #${name}`;

/** The sequences and tasks of one of several runs side by side. */
export function shardOf(plan: Plan, { index, count }: Shard): Plan {
  const own = (unit: number) => unit % count === index - 1;
  return {
    ...plan,
    sequences: plan.sequences.filter((_, i) => own(i)),
    tasks: plan.tasks.filter((_, i) => own(plan.sequences.length + i)),
  };
}

/**
 * Measures what the store does not hold yet.
 *
 * @param until milliseconds since 1970: nothing more is begun then
 * @returns whether everything is measured
 */
export async function measure(
  evaluator: Evaluator,
  plan: Plan,
  store: Store,
  say: (message: string) => void,
  until = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  const { policies, sequences, options, tasks } = plan;
  for (const [i, sequence] of sequences.entries()) {
    const missing = policies.filter((policy) => !store.get(figuresKey(policy, sequence)));
    const exact = figuresKey('exact', sequence);
    if (missing.length === 0 && store.get(exact)) continue;
    if (Date.now() > until) return false;
    const where = `sequence ${i + 1} of ${sequences.length}`;
    say(`${where}: exact`);
    store.set(exact, await evaluator.exact(sequence.tokens, options));
    for (const policy of missing) {
      if (Date.now() > until) return false;
      say(`${where}: ${policy}`);
      store.set(figuresKey(policy, sequence), await evaluator.policy(sequence.tokens, policy, options));
    }
  }
  for (const task of tasks) {
    for (const policy of ['exact', ...policies]) {
      const key = taskKey(policy, task);
      if (store.get(key)) continue;
      if (Date.now() > until) return false;
      say(`${task.name}: ${policy}`);
      store.set(key, await evaluator.task(task.items, policy === 'exact' ? null : policy));
    }
  }
  return true;
}

/** The sequences and tasks of which everything is measured. */
export function completeIn(plan: Plan, store: Store): Plan {
  const all = (key: (policy: string) => string) =>
    ['exact', ...plan.policies].every((policy) => store.get(key(policy)) !== undefined);
  return {
    ...plan,
    sequences: plan.sequences.filter((sequence) => all((policy) => figuresKey(policy, sequence))),
    tasks: plan.tasks.filter((task) => all((policy) => taskKey(policy, task))),
  };
}

/** The table of a run that is complete. */
export function tabulate({ policies, sequences, tasks }: Plan, store: Store): QualityRow[] {
  const halves = sequences.map(({ half }) => half);
  const both = new Set(halves).size > 1;
  return ['exact', ...policies].map((policy) => {
    const figures = sequences.map((sequence) => store.get<SequenceFigures>(figuresKey(policy, sequence))!);
    const row = summarise(policy, figures, both ? halves : undefined);
    for (const task of tasks) {
      const stock = store.get<Hits[]>(taskKey('exact', task))!;
      row.tasks[task.name] = score(stock, store.get<Hits[]>(taskKey(policy, task))!);
    }
    const codes = Object.entries(row.tasks).filter(([name]) => name.startsWith('recall'));
    const asked = codes.reduce((sum, [, { asked }]) => sum + asked, 0);
    if (asked > 0) {
      row.recall = codes.reduce((sum, [, { exact }]) => sum + exact, 0) / asked;
      row.recallStock = codes.reduce((sum, [, { stock }]) => sum + stock, 0) / asked;
    }
    return row;
  });
}

const percent = (value: number | null) => (value === null ? '–' : `${(100 * value).toFixed(1)}%`);
const fixed = (value: number | null, digits: number) => value?.toFixed(digits) ?? '–';

/** The table as Markdown. */
export function markdown(rows: readonly QualityRow[]): string {
  const head = [
    ...['policy', 'ppl', 'mean KL', 'median KL', '99% KL', 'same top-1', 'kept (head)', 'V rows read'],
    ...['V saved', 'KV saved', 'kept mass', 'drift'],
    ...Object.keys(rows[0]?.tasks ?? {}),
  ];
  const lines = rows.map((row) => [
    row.policy,
    fixed(row.ppl, 3),
    fixed(row.klMean, 5),
    fixed(row.klMedian, 5),
    fixed(row.kl99, 4),
    percent(row.top1),
    percent(row.keptHead),
    percent(row.keptGroup),
    percent(row.savedV),
    percent(row.savedKv),
    fixed(row.keptMass, 4),
    row.driftChange === null ? '–' : `${row.driftChange < 0 ? '' : '+'}${percent(row.driftChange)}`,
    ...Object.values(row.tasks).map(({ exact, stock, asked }) => `${exact}/${asked} (stock ${stock})`),
  ]);
  return markdownTable(head, lines);
}
