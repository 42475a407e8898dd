// The published file as a page without a bundler loads it: plain ES modules and an import map.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { launchBrowser } from '../lab/browser.ts';
import { ROOT } from '../lab/root.ts';
import { servePlain } from './plain-site.ts';

const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="importmap">{ "imports": {
  "sift-attention": "/dist/index.js",
  "@huggingface/transformers": "/node_modules/@huggingface/transformers/dist/transformers.web.js",
  "onnxruntime-web/webgpu": "/node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs",
  "onnxruntime-common": "/node_modules/onnxruntime-common/dist/esm/index.js"
} }</script><script type="module">
  import { env, pipeline } from '@huggingface/transformers';
  import { enableSift } from 'sift-attention';
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = '/models/';
  env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  const generator = await pipeline('text-generation', 'tiny', { device: 'webgpu', dtype: 'q4' });
  const sift = await enableSift(generator, { warmup: 3, siftFrom: 0 });
  const [{ generated_text }] = await generator('The old house', { max_new_tokens: 8, do_sample: false });
  window.result = { text: generated_text, report: await sift.report() };
</script>`;

test('dist/index.js enables sift in a page without a bundler', async () => {
  expect(existsSync(join(ROOT, 'dist/index.js')), 'run npm run build first').toBe(true);
  const site = await servePlain({ 'index.html': PAGE });
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(site.url);
    await page
      .waitForFunction(() => 'result' in window, undefined, { timeout: 600_000 })
      .catch((error) => {
        throw new Error(`${error.message}; page errors: ${errors.join('; ')}`);
      });
    const { text, report } = await page.evaluate(
      () => (window as unknown as { result: { text: string; report: { steps: object } } }).result,
    );
    expect(text.length).toBeGreaterThan('The old house'.length);
    expect(report.steps).toEqual({ sifted: 4, dense: 3 });
    expect(errors).toEqual([]);
  } finally {
    await browser.close();
    site.close();
  }
});
