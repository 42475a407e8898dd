import { copy } from './copy.ts';
import { recall } from './recall.ts';
import type { Item, TaskSource } from './task.ts';
import { turns } from './turns.ts';

export type { Hits, Item, TaskSource, Turn } from './task.ts';
export { score } from './task.ts';

export const TASK_SYNTAX = `NAME:TOKENS[xITEMS], a list of them with commas, or all
  recall   one code at each of nine depths (9 items)   recall8  eight codes at once (3 items)
  copy     a row of 64 digits (4 items)                 turns    three turns on one cache (3 items)
  all      recall, recall8: at 1K, 2K, 4K and 8K, as far as the model's context goes; copy: at 1K, turns: at 2K`;

const KINDS = {
  recall: { items: 9, make: (source: TaskSource, n: number, items: number) => recall(source, n, 1, items) },
  recall8: { items: 3, make: (source: TaskSource, n: number, items: number) => recall(source, n, 8, items) },
  copy: { items: 4, make: copy },
  turns: { items: 3, make: turns },
} as const;

/** A task by name, and its conversations. */
export interface Task {
  name: string;
  items: Item[];
}

/** Names of tasks that a text asks for. */
export function taskNames(text: string, context: number): string[] {
  if (text !== 'all') return text.split(',').filter((name) => name !== '');
  const lengths = [1024, 2048, 4096, 8192].filter((length) => length <= context);
  return [
    ...lengths.flatMap((length) => [`recall:${length}`, `recall8:${length}`]),
    ...['copy:1024', 'turns:2048'].filter((name) => Number(name.split(':')[1]) <= context),
  ];
}

/**
 * The task of a name. The same name, text and tokenizer give the same tokens.
 * @throws Error if it names none.
 */
export function makeTask(name: string, source: TaskSource): Task {
  const match = /^(\w+):(\d+)(?:x(\d+))?$/.exec(name);
  const kind = match && KINDS[match[1] as keyof typeof KINDS];
  if (!match || !kind) throw new Error(`"${name}" is no task. Tasks: ${TASK_SYNTAX}`);
  const tokens = Number(match[2]);
  if (tokens < 256 || tokens > source.context)
    throw new Error(`${name}: the context is 256 to ${source.context} tokens.`);
  return { name, items: kind.make(source, tokens, match[3] === undefined ? kind.items : Number(match[3])) };
}
