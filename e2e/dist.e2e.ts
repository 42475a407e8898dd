// The published file as a page without a bundler loads it: plain ES modules and an import map.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { launchBrowser } from '../lab/browser.ts';
import { ROOT } from '../lab/root.ts';

const TYPES: Record<string, string> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.html': 'text/html',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

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
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    if (path === '/') return response.setHeader('content-type', 'text/html').end(PAGE);
    const file = join(ROOT, path);
    if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
    return createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
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
    server.close();
  }
});
