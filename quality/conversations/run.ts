// npm run quality -- --conversations all
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { markdownTable } from '../../lab/markdown.ts';
import type { Evaluator, EvaluatorFacts } from '../evaluation/evaluator.ts';
import type { SequenceFigures } from '../evaluation/figures.ts';
import { splitDocuments } from '../plan/corpus.ts';
import type { Options } from '../plan/options.ts';
import { parsePolicy } from '../plan/policy-syntax.ts';
import type { Store } from '../plan/store.ts';
import { parseResults } from '../report/results.ts';
import { BUILDERS, type Conversation, type ConversationSource } from './adversarial.ts';
import { conversationRow, LIMIT } from './figures.ts';
import {
  type ConversationResults,
  type ConversationRow,
  parseConversations,
  writeConversations,
} from './results.ts';

/** Looks at the plugin's report in the course of a conversation. */
const LOOKS = 32;

/** Mean KL of each policy on ordinary text, as it was measured for a model (quality/results). */
export function usualKl(model: string): Record<string, number> {
  const path = `quality/results/${model}.json`;
  if (!existsSync(path)) return {};
  const { results } = parseResults(readFileSync(path, 'utf8'));
  return Object.fromEntries(
    results.flatMap(({ policy, klMean }) => (klMean ? [[policy, klMean] as const] : [])),
  );
}

async function source(
  evaluator: Evaluator,
  options: Options,
  { vocabulary, endToken }: EvaluatorFacts,
): Promise<ConversationSource> {
  const read = async (path: string) => evaluator.encode(splitDocuments(readFileSync(path, 'utf8')));
  const flat = async (path: string) => (await read(path)).flat();
  const prose = (await read(options.text)).map((tokens) => [...tokens, endToken]);
  return { prose, code: await flat(options.code), foreign: await flat(options.foreign), vocabulary };
}

/** Measures the conversations that the options name, and writes and shows what there is when the time is over. */
export async function runConversations(
  evaluator: Evaluator,
  options: Options,
  head: Omit<ConversationResults, 'rows' | 'texts'>,
  store: Store,
  say: (message: string) => void,
): Promise<void> {
  const facts = await evaluator.facts();
  const made = await source(evaluator, options, facts);
  // The tokens of the prompt and of the steps, and one more, have to fit into the model's positions.
  const long = Math.min(options.long, facts.context - 21);
  const sizes = { prompt: options.prompt, steps: options.steps, long };
  const until = Date.now() + options.minutes * 60_000;
  const conversations = options.conversations!.map((name) => BUILDERS[name]!(made, sizes));
  const key = (name: string, policy: string) => `${policy} in ${name}`;
  for (const open of conversations) {
    const { name, prompt, steps } = open;
    const missing = options.policies.filter((policy) => !store.get(key(name, policy)));
    if (missing.length === 0 && store.get(key(name, 'exact'))) continue;
    if (Date.now() > until) break;
    say(`${name}: exact`);
    const tokens = open.tokens ?? (await evaluator.generate(open.begin, steps + 1));
    const sequence = { prompt, steps, warmup: 0, parts: LOOKS };
    store.set(key(name, 'exact'), await evaluator.exact(tokens, sequence));
    for (const policy of missing) {
      if (Date.now() > until) break;
      say(`${name}: ${policy}`);
      store.set(key(name, policy), await evaluator.policy(tokens, policy, sequence));
    }
  }
  const usual = usualKl(head.model);
  const row = (conversation: Pick<Conversation, 'name' | 'prompt' | 'steps' | 'breakAt'>, policy: string) => {
    const figures = store.get<SequenceFigures>(key(conversation.name, policy));
    if (!figures) return [];
    const skipped = policy === 'exact' ? 0 : parsePolicy(policy).policy.warmup;
    return [conversationRow(conversation, policy, figures, skipped, usual[policy] ?? null)];
  };
  const rows = conversations.flatMap((conversation) =>
    ['exact', ...options.policies].flatMap((policy) => row(conversation, policy)),
  );
  console.log(conversationsTable(rows));
  if (!options.json || rows.length === 0) return;
  const texts = { prose: options.text, code: options.code, foreign: options.foreign };
  const names = Object.fromEntries(
    Object.entries(texts).map(([kind, path]) => [kind, path.split('/').at(-1)!]),
  ) as ConversationResults['texts'];
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, writeConversations({ ...head, texts: names, rows }));
  parseConversations(readFileSync(options.json, 'utf8'));
}

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
