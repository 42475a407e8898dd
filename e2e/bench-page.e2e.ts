// The page that measures a whole decode step (examples/bench), on the embedded model.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { implausible } from '../bench/browser/community.ts';
import { parseBench } from '../bench/browser/format.ts';
import type {} from '../examples/bench/src/main.ts';
import type { ModelPlan } from '../examples/bench/src/measure/plan.ts';
import { ROOT } from '../lab/root.ts';
import { openPage, type Session } from './browser.ts';

const length = { context: 48, past: false, variants: ['stock', 'default'], turns: 1 } as const;
const PLAN: ModelPlan = {
  model: 'embedded',
  dtype: 'q4',
  lengths: [length],
  warm: 1,
  steps: 3,
};

const OUT = join(ROOT, 'e2e/out');

let session: Session;

beforeAll(async () => {
  session = await openPage('/', join(ROOT, 'examples/bench/vite.config.ts'));
  session.page.setDefaultTimeout(600_000);
  await session.page.waitForSelector('html[data-ready]', { state: 'attached' });
});
afterAll(async () => {
  await session?.close();
});

test('the page offers what fits the device', async () => {
  const { page } = session;
  expect(await page.locator('#gpu').textContent()).toContain('on the processor');
  expect(await page.getByRole('checkbox', { checked: true }).count()).toBe(1);
  expect(await page.getByRole('button', { name: 'Run' }).isEnabled()).toBe(true);
  await page.getByLabel(/^Llama-3.2-1B/).check();
  await page.getByLabel('Longest context').selectOption('131072');
  await page.getByLabel('GPU memory').selectOption('2');
  expect(await page.locator('#fits').textContent()).toMatch(/Llama-3\.2-1B.* is left out, because /);
  await page.getByLabel(/^Llama-3.2-1B/).uncheck();
  await page.getByLabel(/^Small/).uncheck();
  expect(await page.getByRole('button', { name: 'Run' }).isEnabled()).toBe(false);
});

test('a run gives a table, a plot and results in the documented format, and leaves the machine alone', async () => {
  const { page, outside } = session;
  const results = await page.evaluate((plan) => window.bench.measure([plan]), PLAN);
  const bench = parseBench(JSON.stringify(results));
  expect(bench.missing).toEqual([]);
  expect(bench.rows.map(({ variant, context }) => [variant, context])).toEqual([
    ['stock', 48],
    ['default', 48],
  ]);
  const [stock, sift] = bench.rows;
  expect(stock).toMatchObject({ cache: 'stock', enableMs: null, keptGroup: null, siftedSteps: 0, steps: 3 });
  expect(sift!.cache).toBe('shared');
  expect(sift!.enableMs).toBeGreaterThan(0);
  expect(stock!.firstTokenMs).toBeGreaterThan(0);
  expect(bench.models).toMatchObject([{ name: 'embedded', layers: 3, dtype: 'q4' }]);
  expect(Object.keys(bench.models[0]!.enableStages)).toEqual([
    'observing',
    'compiling',
    'comparing',
    'calibrating',
  ]);
  // Such figures say nothing about GPUs.
  expect(implausible(bench)).toBe('they are those of a software adapter');
  expect(await page.locator('#stage').textContent()).toMatch(/^Done in /);
  expect(await page.locator('#headline').textContent()).toMatch(
    /times as fast as stock: embedded at 48 tokens/,
  );
  expect(await page.locator('#table tbody tr').count()).toBe(2);
  expect(await page.locator('#plots canvas').count()).toBe(1);
  for (const name of ['Copy JSON', 'Save JSON', 'Save the plot (PNG)', 'Copy the text of an issue'])
    expect(await page.getByRole('button', { name }).isEnabled(), name).toBe(true);
  mkdirSync(OUT, { recursive: true });
  await page.screenshot({ path: join(OUT, 'bench-page.png'), fullPage: true });
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save the plot (PNG)' }).click();
  expect((await download).suggestedFilename()).toBe('sift-bench.png');
  expect(outside).toEqual([]);
});

test('a run that is stopped, and one whose device is lost, say so and keep what was measured', async () => {
  const { page } = session;
  const stopped = await page.evaluate(async (plan) => {
    const run = window.bench.measure([plan]);
    // It stops at once, whatever it is doing.
    window.bench.stop();
    return run;
  }, PLAN);
  expect(stopped.rows).toEqual([]);
  expect(await page.locator('#stage').textContent()).toBe('Stopped. What was measured is below.');
  const results = await page.evaluate(
    async (plan) => {
      const run = window.bench.measure([plan]);
      while (window.bench.results()!.rows.length === 0)
        await new Promise((resolve) => setTimeout(resolve, 20));
      (await window.bench.device()).destroy();
      return run;
    },
    {
      ...PLAN,
      lengths: [
        { ...length, past: true, variants: ['stock' as const] },
        { ...length, context: 64 },
      ],
    },
  );
  expect(results.rows).toMatchObject([{ context: 48, past: true, firstTokenMs: null }]);
  expect(await page.locator('#problem').textContent()).toMatch(/The GPU device was lost.*Reload the page/);
  expect(await page.getByRole('button', { name: 'Run' }).isEnabled()).toBe(false);
});
