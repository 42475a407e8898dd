// The demo page on the embedded model, driven as a user would.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import { openPage, type Session } from './browser.ts';

const LAYERS = 3;
const HEADS = 8;
const WARMUP = 6;
const NEW_TOKENS = 16;

let session: Session;

beforeAll(async () => {
  session = await openPage('/', join(ROOT, 'examples/demo/vite.config.ts'));
  session.page.setDefaultTimeout(600_000);
  await session.page.setViewportSize({ width: 1360, height: 900 });
  await session.page.waitForSelector('html[data-ready]');
});
afterAll(async () => {
  await session?.close();
});

test('stock and sift run side by side, and the page shows what sift did, without a network', async () => {
  const { page, outside } = session;
  await page.getByRole('slider', { name: 'Length' }).fill('7.25'); // a base-2 logarithm: 144 or 160 tokens
  await page.getByRole('combobox', { name: 'Mode', exact: true }).selectOption('learned');
  await page.getByLabel('Warm-up steps').fill(String(WARMUP));
  await page.getByLabel('New tokens').fill(String(NEW_TOKENS));
  await page.getByRole('button', { name: 'Generate' }).click();
  const status = page.locator('#status');
  await page.waitForFunction(() => /^(Done|Stopped)/.test(document.querySelector('#status')!.textContent!));
  expect(await page.locator('#problem').textContent()).toBe('');
  expect(await status.textContent()).toBe('Done.');

  // Both columns have a text and a speed.
  for (const side of ['#stock', '#sift']) {
    const text = (await page.locator(`${side} .text`).textContent())!;
    expect(text.trim().length).toBeGreaterThan(20);
    const speeds = await page.locator(`${side} dd`).allTextContents();
    for (const speed of speeds) expect(speed).toMatch(/^[\d.,]+ tokens\/s$/);
  }
  expect(await page.locator('#verdict').textContent()).toMatch(/tokens are the same|texts are the same/);

  // The report: rows were skipped in the steps after the warm-up.
  const numbers = Object.fromEntries(
    await page
      .locator('.figure')
      .evaluateAll((figures) =>
        figures.map((f) => [f.querySelector('dt')!.textContent, f.querySelector('strong')!.textContent]),
      ),
  );
  expect(numbers.Steps).toBe(`${NEW_TOKENS - 1 - WARMUP} sifted`);
  expect(numbers['Sifts from']).toBe('0 keys');
  const read = Number.parseFloat(numbers['V rows read'] ?? '');
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(100);
  expect(await page.locator('#reasons li').allTextContents()).toContain(`${WARMUP} × warm-up`);

  // Heat map and curves.
  expect(await page.locator('.heat-cell').count()).toBe(LAYERS * HEADS);
  await page.locator('.heat-cell').first().focus();
  await page.keyboard.press('ArrowRight');
  expect(await page.getByRole('tooltip').textContent()).toContain('Layer 0, head 1');
  await page.keyboard.press('Escape');
  for (const plot of ['#plot-threshold', '#plot-kept']) {
    expect(Number(await page.locator(plot).getAttribute('data-points'))).toBeGreaterThan(1);
    expect(await page.locator(`${plot} canvas`).evaluate(colouredPixels)).toBeGreaterThan(100);
  }

  expect(outside).toEqual([]);
  const folder = join(ROOT, 'e2e/out');
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, 'demo.png'), fullPage: true });
});

/** Pixels of a canvas that are neither empty nor grey: those of curves and points. */
function colouredPixels(element: Element): number {
  const canvas = element as HTMLCanvasElement;
  const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
  let pixels = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, a] = data.slice(i, i + 4);
    if (a! > 128 && Math.max(r!, g!, b!) - Math.min(r!, g!, b!) > 60) pixels++;
  }
  return pixels;
}
