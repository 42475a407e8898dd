import type { Page } from 'playwright';
import type { Recording } from './src/recording.ts';

export interface SessionPlan {
  /** Part of the model's label; default: the embedded model. */
  model?: string;
  /** Tokens of the document to read, at most. */
  tokens: number;
  say?: (message: string) => void;
}

/**
 * Asks and compares in the demo's page, as a user would, and gives what was seen.
 *
 * @param page - the demo, ready
 * @throws Error with the page's own words if it says that something did not work
 */
export async function recordedSession(
  page: Page,
  { model = 'Embedded', tokens, say = () => {} }: SessionPlan,
): Promise<Recording> {
  const labels = await page.locator('#model option').allTextContents();
  await page.locator('#model').selectOption({ index: labels.findIndex((label) => label.includes(model)) });
  await page.getByRole('slider', { name: 'Tokens to read' }).fill(String(Math.log2(tokens)));
  for (const button of ['Ask', 'Compare with stock']) {
    await page.getByRole('button', { name: button }).click();
    const end = await page.waitForSelector('html[data-state=done], html[data-state=failed]', {
      timeout: 0,
      state: 'attached',
    });
    const state = await end.getAttribute('data-state');
    say(`${button}: ${state}`);
    if (state === 'failed') throw new Error(`The page says: ${await page.locator('#problem').textContent()}`);
  }
  const text = await page.evaluate(() => (window as unknown as { recording(): string }).recording());
  return JSON.parse(text);
}
