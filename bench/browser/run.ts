// npm run bench:browser -- --help
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Page } from 'playwright';
import type {} from '../../examples/bench/src/main.ts';
import type { ModelPlan } from '../../examples/bench/src/measure/plan.ts';
import { NO_RELOAD, openServedPage } from '../../lab/browser.ts';
import { addCommunity } from './community.ts';
import { type BrowserBench, mergeBench, parseBench } from './format.ts';
import { MainThread } from './main-thread.ts';
import { type RunOptions, readOptions, USAGE } from './options.ts';
import { benchPlot } from './plot.ts';
import { benchMarkdown, benchTable } from './table.ts';

const gpu = process.env.SIFT_GPU === '1';

/** Writes the table and the plot of a file of results beside it. */
function render(path: string): void {
  const results = parseBench(readFileSync(path, 'utf8'));
  const base = path.replace(/\.json$/, '');
  const command = `npm run bench:browser -- --render ${path}`;
  writeFileSync(`${base}.md`, benchMarkdown(results, command));
  writeFileSync(`${base}.svg`, benchPlot(results));
}

/** Opens the page in a browser of its own, and does something in it. */
async function inPage<T>(work: (page: Page) => Promise<T>): Promise<T> {
  const config = {
    configFile: 'examples/bench/vite.config.ts',
    logLevel: 'error',
    server: { port: 0, watch: null, ...NO_RELOAD },
  } as const;
  const { page, close } = await openServedPage('/', config, (page) => {
    page.setDefaultTimeout(0);
    page.on('pageerror', (error) => console.error(`page: ${error.message}`));
    page.on('crash', () => console.error('The page crashed.'));
  });
  try {
    await page.waitForSelector('html[data-ready]', { state: 'attached' });
    return await work(page);
  } finally {
    await close();
  }
}

/** Waits for the run in a page, tells what it does, and gives what was found when it ends or when its time is over. */
async function runInPage(
  page: Page,
  plans: readonly ModelPlan[],
  { mainThread, seconds }: RunOptions,
): Promise<BrowserBench> {
  const thread = new MainThread(page);
  await page.exposeFunction('profileBegin', () => thread.begin());
  await page.exposeFunction('profileEnd', (steps: number) => thread.end(steps));
  let last = '';
  const say = setInterval(() => {
    void page
      .locator('#stage')
      .textContent()
      .then((stage) => {
        if (stage && stage !== last) console.log(`  ${stage}`);
        last = stage ?? '';
      })
      .catch(() => {});
  }, 2000);
  const timer = setTimeout(() => {
    console.log('The time is over.');
    void page.evaluate(() => window.bench.stop()).catch(() => {});
  }, seconds * 1000);
  try {
    const results = await page.evaluate(
      ([plans, mainThread]) => {
        const { profileBegin: begin, profileEnd: end } = window;
        return window.bench.measure(plans, mainThread ? { observer: { begin, end } } : {});
      },
      [[...plans], mainThread] as const,
    );
    const problem = await page.locator('#problem').textContent();
    if (problem) console.error(problem);
    return results;
  } finally {
    clearInterval(say);
    clearTimeout(timer);
  }
}

declare global {
  interface Window {
    profileBegin(): Promise<void>;
    profileEnd(steps: number): Promise<Record<string, number>>;
  }
}

/** Each model has a browser of its own: first a page that only enables the plugin, for the time that a newcomer waits, then the run. */
async function measure(options: RunOptions): Promise<BrowserBench> {
  const begin = performance.now();
  let all: BrowserBench | undefined;
  for (const plan of options.plans) {
    console.log(`${plan.model} ${plan.dtype}`);
    const results = await inPage(async (page) => {
      const cold = await page.evaluate((plan) => window.bench.measure([{ ...plan, lengths: [] }]), plan);
      checkVendor(cold, options.vendor);
      await page.reload();
      await page.waitForSelector('html[data-ready]', { state: 'attached' });
      const left = options.seconds - (performance.now() - begin) / 1000;
      const found = await runInPage(page, [plan], { ...options, seconds: Math.max(1, left) });
      const coldEnableMs = cold.models[0]?.firstEnableMs;
      if (coldEnableMs !== undefined) for (const model of found.models) model.coldEnableMs = coldEnableMs;
      return found;
    });
    if (options.machine) results.machine = options.machine;
    all = all ? mergeBench(all, results) : results;
    if (options.json) save(options.json, options.add ? withEarlier(options.json, all) : all);
  }
  return all!;
}

/** The results of a file, with those that are new. */
const withEarlier = (path: string, results: BrowserBench): BrowserBench =>
  existsSync(path) ? mergeBench(parseBench(readFileSync(path, 'utf8')), results) : results;

function checkVendor({ adapter }: BrowserBench, vendor: string | null): void {
  if (vendor !== null && adapter.vendor !== vendor)
    throw new Error(`The adapter is of "${adapter.vendor}", not of "${vendor}".`);
}

function save(path: string, results: BrowserBench): void {
  // What was written must be what is read.
  const text = `${JSON.stringify(results, null, 1)}\n`;
  parseBench(text);
  writeFileSync(path, text);
  render(path);
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), gpu);
  if (!options) console.log(USAGE);
  else if ('render' in options) render(options.render);
  else if ('community' in options) console.log(`added as ${addCommunity(options.community)}`);
  else {
    const results = await measure(options);
    console.log(`\n${benchTable(results)}`);
    if (results.rows.length === 0) process.exitCode = 1;
  }
}

process.once('SIGINT', () => process.exit(130));
main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
