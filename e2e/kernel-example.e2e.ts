import { expect, test } from 'vitest';
import { openPage } from './browser.ts';

test('the kernel runs on plain GPU buffers', async () => {
  const { page, close } = await openPage('/examples/kernel/index.html');
  try {
    await page.waitForSelector('#output[data-done]', { timeout: 600_000 });
    const text = await page.textContent('#output');
    const kept = [...text!.matchAll(/kept ([\d.]+)%/g)].map((match) => Number(match[1]));
    expect(kept).toHaveLength(8);
    // Fresh random queries every step: the kept fraction is near 1 - tau, not exactly it.
    for (const percent of kept) {
      expect(percent).toBeGreaterThan(9);
      expect(percent).toBeLessThan(17);
    }
    expect(text).toContain('fitted');
    expect(text).toContain('V rows read per KV head');
  } finally {
    await close();
  }
});
