import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { type BrowserModel, ModelBrowser } from './browser.ts';
import { EXCERPT_LOSSES } from './reference.ts';

/** The embedded model on WebGPU in a browser: on the software adapter, or on a real one with SIFT_GPU=1. */
const MODEL: BrowserModel = { folder: join(ROOT, 'models/tiny'), dtype: 'q4', device: 'webgpu' };

const WINDOWS = 2;

describe('models/tiny, q4, on WebGPU', () => {
  let browser: ModelBrowser;

  beforeAll(async () => {
    browser = await ModelBrowser.start();
  });

  afterAll(async () => {
    await browser?.close();
  });

  test('there is a WebGPU adapter', async () => {
    expect(await browser.adapter()).not.toBe('');
  });

  test('the loss is that of the CPU, and the 4 bits cost less than 0.07 nats; a planted code is recalled', async () => {
    const text = readFileSync(join(ROOT, 'models/text/excerpt.txt'), 'utf8');
    const measures = await browser.measure(MODEL, text, {
      windows: WINDOWS,
      windowLength: 1024,
      needles: 1,
      needleLength: 1000,
    });
    expect(measures.losses).toHaveLength(WINDOWS);
    measures.losses.forEach((loss, w) => {
      // Only the order of additions differs from the CPU. Measured: below 0.0001.
      expect(Math.abs(loss - EXCERPT_LOSSES.q4[w]!)).toBeLessThan(0.002);
      // Measured on 8 windows: 0.023 to 0.051.
      expect(loss - EXCERPT_LOSSES.fp32[w]!).toBeLessThan(0.07);
    });
    expect(measures.recalled).toEqual([true]);
  });

  test("transformers.js' own pipeline generates text with it", async () => {
    const text = await browser.generate(MODEL, 'The ship was in the', 12);
    // Seen: ' room, and the door was locked.' Another adapter's rounding may choose other words.
    expect(text).toMatch(/^ [a-z]+[a-z ,.]{20,}/);
  });
});
