// Drives a soak: rounds of conversations in one page, what is left after each, and now and then one of them in a page of its own.
import type { CDPSession, Page } from 'playwright';
import { NO_RELOAD, openServedPage, repositoryServer, type ServedPage } from '../../lab/browser.ts';
import { fileInFolder, modelServer } from '../../lab/model-server.ts';
import { ROOT } from '../../lab/root.ts';
import type { Quality } from '../../src/index.ts';
import type { Look } from './page/main.ts';
import { ROUND_LENGTH, type Talk, talkOf } from './talks.ts';

export interface SoakOptions {
  /** Folder of the model. */
  model: string;
  dtype: string;
  quality: Quality;
  text: string;
  /** Ends after the round in which so many decode steps are reached, or when so many minutes are over. */
  steps: number;
  minutes: number;
  /** Tokens of the longest prompt, and new tokens at most. */
  prompt: number;
  count: number;
  /** Every how manieth conversation is done again in a fresh page. */
  again: number;
}

/** What a round left. */
export interface Round extends Look {
  /** Decode steps so far, and bytes of the page's JavaScript heap after garbage was collected. */
  soaked: number;
  heap: number;
}

export interface SoakResult {
  gpu: string;
  conversations: number;
  /** Conversations that were done again in a fresh page, and the numbers of those whose tokens were not the same. */
  compared: number;
  unlike: number[];
  rounds: Round[];
  /** What was left when everything was disposed of. */
  left: string[];
  seconds: number;
}

/** The fewest rounds by which it can be told whether anything grows. */
export const LEAST_ROUNDS = 3;

/** Bytes by which the heap may differ between rounds: the engine's own caches and compiled code. */
export const HEAP_SLACK = 1_000_000;

/** Characters by which a report may: numbers have more digits as they grow. */
const REPORT_SLACK = 2_000;

/** Says what is not as flat as it must be. The first round is left out: it compiles programs and grows what is kept. */
export function violations({ rounds, left, unlike }: SoakResult): string[] {
  const found = [
    ...left.map((thing) => `left behind: ${thing}`),
    ...unlike.map((number) => `conversation ${number}: other tokens than in a fresh page`),
    ...rounds.flatMap(({ replaced, errors }) => [...replaced.map((name) => `replaced: ${name}`), ...errors]),
  ];
  if (rounds.length < LEAST_ROUNDS) return [...found, `${rounds.length} rounds are too few to tell`];
  const [, first] = rounds as [Round, Round];
  const last = rounds.at(-1)!;
  for (const { soaked, buffers } of rounds.slice(2))
    if (buffers.count !== first.buffers.count || buffers.bytes !== first.buffers.bytes)
      found.push(
        `after ${soaked} steps: ${buffers.count} buffers of ${buffers.bytes} bytes, before ${first.buffers.count} of ${first.buffers.bytes}`,
      );
  // The least of the last rounds: a heap that grows is above it for good.
  const heap = Math.min(
    ...rounds.slice(-Math.max(1, Math.floor(rounds.length / 4))).map((round) => round.heap),
  );
  if (heap > first.heap + HEAP_SLACK) found.push(`the heap grew from ${first.heap} to ${heap} bytes`);
  if (last.report.size > first.report.size + REPORT_SLACK)
    found.push(`the report grew from ${first.report.size} to ${last.report.size} characters`);
  if (last.report.stockSteps > 0) found.push(`${last.report.stockSteps} steps were left to the runtime`);
  return found;
}

const FOLDER = '/soak-model/';

async function openSoak({ model }: SoakOptions): Promise<ServedPage> {
  const served = modelServer((path) =>
    path.startsWith(FOLDER) ? fileInFolder(model, path.slice(FOLDER.length)) : undefined,
  );
  const config = repositoryServer(ROOT, 'soak', { server: NO_RELOAD, plugins: [served] });
  return openServedPage('/e2e/soak/page/index.html', config, (page) => prepare(page));
}

function prepare(page: Page): void {
  page.setDefaultTimeout(0);
  page.on('pageerror', (error) => console.error('page error:', error.message));
}

async function load(
  page: Page,
  { dtype, quality, text }: SoakOptions,
): Promise<{ gpu: string; tokens: number[] }> {
  await page.waitForFunction(() => 'soak' in window);
  return page.evaluate(([dtype, quality, text]) => window.soak.open(dtype, quality as Quality, text), [
    dtype,
    quality,
    text,
  ] as const);
}

/** Bytes of the heap that are in use after garbage was collected. */
async function heapOf(session: CDPSession): Promise<number> {
  for (let i = 0; i < 2; i++) await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  return usedSize;
}

const talkIn = (page: Page, talk: Talk): Promise<number[]> =>
  page.evaluate((talk) => window.soak.talk(talk), talk);

/** Does the conversation again in a page that has done nothing else. */
async function freshly(first: ServedPage, options: SoakOptions, talk: Talk): Promise<number[]> {
  const page = await first.browser.newPage();
  try {
    prepare(page);
    await page.goto(first.page.url());
    await load(page, options);
    return await talkIn(page, talk);
  } finally {
    await page.close();
  }
}

export async function soak(options: SoakOptions, say: (message: string) => void): Promise<SoakResult> {
  const began = Date.now();
  const served = await openSoak(options);
  try {
    const { page } = served;
    const { gpu, tokens: text } = await load(page, options);
    say(gpu);
    const session = await page.context().newCDPSession(page);
    const result: SoakResult = {
      ...{ gpu, conversations: 0, compared: 0, unlike: [], rounds: [], left: [], seconds: 0 },
    };
    const over = () =>
      (result.rounds.at(-1)?.soaked ?? 0) >= options.steps || Date.now() - began > options.minutes * 60_000;
    let soaked = 0;
    while (!over()) {
      for (let i = 0; i < ROUND_LENGTH; i++) {
        const number = result.conversations++;
        const talk = talkOf(number, text, options);
        const tokens = await talkIn(page, talk);
        soaked += tokens.length - talk.turns.reduce((sum, { prompt }) => sum + prompt.length, 0);
        if (number % options.again !== options.again - 1) continue;
        result.compared++;
        const again = await freshly(served, options, talk);
        if (JSON.stringify(again) !== JSON.stringify(tokens)) result.unlike.push(number);
      }
      const look = await page.evaluate(() => window.soak.look());
      const round = { soaked, heap: await heapOf(session), ...look };
      result.rounds.push(round);
      const { buffers, heap } = round;
      say(
        `${soaked} steps, ${result.conversations} conversations, ${result.compared} done again, ${result.unlike.length} unlike; ${buffers.count} buffers of ${buffers.bytes} bytes, heap ${(heap / 1e6).toFixed(2)} MB`,
      );
    }
    result.left = await page.evaluate(() => window.soak.finish());
    result.seconds = Math.round((Date.now() - began) / 1000);
    return result;
  } finally {
    await served.close();
  }
}
