// npm run quality -- --conversations all
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Evaluator, EvaluatorFacts } from '../evaluation/evaluator.ts';
import type { SequenceFigures } from '../evaluation/figures.ts';
import { splitDocuments } from '../plan/corpus.ts';
import type { Options } from '../plan/options.ts';
import { parsePolicy } from '../plan/policy-syntax.ts';
import type { Store } from '../plan/store.ts';
import { parseResults } from '../report/results.ts';
import { BUILDERS, type Conversation, type ConversationSource, SHORT_PROMPT } from './adversarial.ts';
import { conversationRow } from './figures.ts';
import {
  type ConversationResults,
  type ConversationRow,
  parseConversations,
  writeConversations,
} from './results.ts';
import { conversationsTable } from './table.ts';

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
  options: Pick<Options, 'text' | 'code' | 'foreign'>,
  { vocabulary, endToken }: EvaluatorFacts,
): Promise<ConversationSource> {
  const read = async (path: string) => evaluator.encode(splitDocuments(readFileSync(path, 'utf8')));
  const flat = async (path: string) => (await read(path)).flat();
  const prose = (await read(options.text)).map((tokens) => [...tokens, endToken]);
  return { prose, code: await flat(options.code), foreign: await flat(options.foreign), vocabulary };
}

/** What is measured. */
export type ConversationOptions = Pick<
  Options,
  'text' | 'code' | 'foreign' | 'prompt' | 'steps' | 'long' | 'policies' | 'minutes'
> & { conversations: readonly string[] };

/** Measures conversations of a model until the time is over; a row for each conversation and policy that there is by then. */
export async function measureConversations(
  evaluator: Evaluator,
  options: ConversationOptions,
  model: string,
  store: Pick<Store, 'get' | 'set'>,
  say: (message: string) => void,
): Promise<ConversationRow[]> {
  const facts = await evaluator.facts();
  const made = await source(evaluator, options, facts);
  // The tokens of the prompt and of the steps, and one more, have to fit into the model's positions.
  const long = Math.min(options.long, facts.context - SHORT_PROMPT - 1);
  const sizes = { prompt: options.prompt, steps: options.steps, long };
  const until = Date.now() + options.minutes * 60_000;
  const conversations = options.conversations.map((name) => BUILDERS[name]!(made, sizes));
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
  const usual = usualKl(model);
  const row = (conversation: Pick<Conversation, 'name' | 'prompt' | 'steps' | 'breakAt'>, policy: string) => {
    const figures = store.get<SequenceFigures>(key(conversation.name, policy));
    if (!figures) return [];
    const skipped = policy === 'exact' ? 0 : parsePolicy(policy).policy.warmup;
    return [conversationRow(conversation, policy, figures, skipped, usual[policy] ?? null)];
  };
  return conversations.flatMap((conversation) =>
    ['exact', ...options.policies].flatMap((policy) => row(conversation, policy)),
  );
}

/** Measures the conversations that the command line names, shows their table, and writes the results. */
export async function runConversations(
  evaluator: Evaluator,
  options: Options & { conversations: readonly string[] },
  head: Omit<ConversationResults, 'rows' | 'texts'>,
  store: Store,
  say: (message: string) => void,
): Promise<void> {
  const rows = await measureConversations(evaluator, options, head.model, store, say);
  console.log(conversationsTable(rows));
  if (!options.json || rows.length === 0) return;
  const texts = {
    prose: basename(options.text),
    code: basename(options.code),
    foreign: basename(options.foreign),
  };
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, writeConversations({ ...head, texts, rows }));
  parseConversations(readFileSync(options.json, 'utf8'));
}
