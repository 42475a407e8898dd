// The demo on the embedded model, driven as a user would; and its recording, where there is no WebGPU.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import { openPage, type Session } from './browser.ts';

const OUT = join(ROOT, 'e2e/out');
let session: Session;

beforeAll(async () => {
  mkdirSync(OUT, { recursive: true });
  session = await openPage('/', join(ROOT, 'examples/demo/vite.config.ts'));
  session.page.setDefaultTimeout(600_000);
  await session.page.setViewportSize({ width: 1280, height: 720 });
  await state(session.page, 'ready');
});
afterAll(async () => {
  await session?.close();
});

const state = (page: Page, wanted: string) => page.waitForSelector(`html[data-state=${wanted}]`);

/** What axe finds wrong with the page as it is. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

/** The layout shift of the page so far, without what follows an input at once. */
const layoutShift = (page: Page): Promise<number> =>
  page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        new PerformanceObserver((list) =>
          resolve(
            (list.getEntries() as unknown as { value: number; hadRecentInput: boolean }[])
              .filter(({ hadRecentInput }) => !hadRecentInput)
              .reduce((sum, { value }) => sum + value, 0),
          ),
        ).observe({ type: 'layout-shift', buffered: true });
        setTimeout(resolve, 1000, 0);
      }),
  );

test('an answer with sift: the strip, the chart and the figures move; then stock beside it', async () => {
  const { page, outside } = session;
  expect(await violations(page)).toEqual([]);
  const ask = page.getByRole('button', { name: 'Ask' });
  const box = (await ask.boundingBox())!;
  expect(box.y + box.height).toBeLessThan(720);

  await page.getByRole('slider', { name: 'Tokens to read' }).fill('8');
  await ask.click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await state(page, 'stopped');
  expect(await page.textContent('#status')).toBe('Stopped.');

  await ask.click();
  await state(page, 'done');
  expect(await page.textContent('#problem')).toBe('');
  expect(await page.textContent('#answer')).toMatch(/^\d{5}/);
  expect(await page.textContent('#verdict')).toContain('✓');
  expect(await page.textContent('#ms-sift')).toMatch(/^[\d,.]+ ms$/);
  expect(Number.parseFloat((await page.textContent('#rows-read'))!)).toBeLessThan(60);
  expect(Number(await page.getAttribute('#strip', 'data-step'))).toBeGreaterThan(0);
  expect(Number(await page.getAttribute('#chart', 'data-points'))).toBeGreaterThan(3);
  const all = await page.textContent('#rows-read');
  await page.getByLabel('Layer').selectOption('0');
  expect(await page.textContent('#rows-read')).not.toBe(all);
  await page.locator('#strip').focus();
  await page.keyboard.press('ArrowRight');
  expect(await page.textContent('#snippet')).toMatch(/^Token 2, read by \d+%/);

  await page.getByRole('button', { name: 'Compare with stock' }).click();
  await state(page, 'done');
  expect(await page.textContent('#ms-stock')).toMatch(/^[\d,.]+ ms$/);
  expect(await page.textContent('#ratio')).toMatch(/times (faster|slower) than stock here/);
  await page.getByText('Details: the report').click();
  expect(await page.textContent('#sentence')).toContain('Sift is on');
  expect(await violations(page)).toEqual([]);
  expect(await layoutShift(page)).toBeLessThan(0.05);
  expect(outside).toEqual([]);
  await page.screenshot({ path: join(OUT, 'demo.png'), fullPage: true });
});

test('without WebGPU the page says so, and plays a recording', async () => {
  const page = await session.page.context().browser()!.newPage();
  page.setDefaultTimeout(600_000);
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined }));
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(session.page.url());
  await state(page, 'ready');
  expect(await page.textContent('#no-gpu')).toContain('WebGPU');
  expect(await page.textContent('#question-note')).toMatch(/^Recorded on \d{4}-\d\d-\d\d/);
  await page.getByRole('button', { name: 'Play the recording' }).click();
  await state(page, 'done');
  expect(await page.textContent('#answer')).toMatch(/^\d{5}/);
  expect(await page.textContent('#ms-stock')).toMatch(/^[\d,.]+ ms$/);
  expect(await violations(page)).toEqual([]);
  // Nothing is wider than a phone.
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await page.screenshot({ path: join(OUT, 'demo-recorded.png'), fullPage: true });
  await page.close();
});
