import { markdownTable } from '../../lab/markdown.ts';
import { LIMIT } from './figures.ts';
import type { ConversationRow } from './results.ts';

const percent = (value: number | null) => (value === null ? '–' : `${(100 * value).toFixed(1)}%`);
const kl = (value: number) => (value < 0.001 ? value.toFixed(5) : value.toFixed(4));

/** The rows as a table in Markdown. */
export function conversationsTable(rows: readonly ConversationRow[]): string {
  return markdownTable(
    [
      ...[
        'conversation',
        'policy',
        'ppl',
        'mean KL',
        '99%',
        'largest',
        `above ${LIMIT.factor}×`,
        'longest run',
      ],
      ...['same top-1', 'V rows', 'kept mass (least head)', 'guarded heads'],
    ],
    rows
      .filter(({ policy }) => policy !== 'exact')
      .map((row) => [
        row.conversation,
        row.policy,
        row.ppl.toPrecision(3),
        kl(row.klMean),
        kl(row.kl99),
        kl(row.klMax),
        percent(row.above),
        row.run === null ? '–' : row.run.length === 0 ? '0' : `${row.run.length} (from step ${row.run.step})`,
        percent(row.top1),
        percent(row.keptGroup),
        row.keptMass === null ? '–' : `${row.keptMass.toFixed(3)} (${row.leastMass!.toFixed(3)})`,
        row.policy.startsWith('learned') ? String(row.guarded) : '–',
      ]),
  );
}
