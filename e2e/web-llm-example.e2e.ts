import { expect, test } from 'vitest';
import { openPage } from './browser.ts';

// No model can be downloaded here: the page comes up, takes the engine, lists the models, and says it when one cannot be loaded.
test('the web-llm example offers models and reports a failed download', async () => {
  const { page, outside, close } = await openPage('/examples/web-llm/index.html');
  try {
    await page.waitForSelector('body[data-ready]', { timeout: 600_000 });
    expect(await page.locator('#model option').count()).toBeGreaterThan(50);
    expect(await page.locator('#model').inputValue()).toContain('Llama-3.2-1B');
    expect(await page.textContent('aside')).toContain('No prebuilt model of this list has been run');
    expect(outside).toEqual([]);
    await page.click('#load');
    await page.waitForFunction(() => document.getElementById('status')?.textContent?.startsWith('failed'));
    expect(outside.length).toBeGreaterThan(0);
    expect(await page.locator('#load').isEnabled()).toBe(true);
  } finally {
    await close();
  }
});
