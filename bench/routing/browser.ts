import { launchBrowser } from '../../e2e/browser.ts';
import type { RoutingFigures, RoutingModel, RoutingOptions } from './measure.ts';

/** Measures in a browser (on the software adapter unless SIFT_GPU=1), from the repository's folder. */
export async function measureInBrowser(
  { bytes, config, presents }: RoutingModel,
  { steps, variants, log }: RoutingOptions,
): Promise<{ version: string; figures: RoutingFigures[] }> {
  const { createServer } = await import('vite');
  // Isolated pages have clocks of 5 microseconds, others of 100.
  const headers = {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
  };
  const server = await createServer({
    root: process.cwd(),
    configFile: false,
    cacheDir: '.cache/vite-routing',
    server: { port: 0, watch: null, headers },
    optimizeDeps: { exclude: ['onnxruntime-web'] },
    logLevel: 'error',
  });
  await server.listen();
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(0);
    page.on('console', (message) => log(`  ${message.text()}`.slice(0, 400)));
    page.on('pageerror', (error) => log(`page error: ${error.message}`.slice(0, 400)));
    await page.route('**/routing-model.onnx', (route) =>
      route.fulfill({ body: Buffer.from(bytes), contentType: 'application/octet-stream' }),
    );
    await page.goto(new URL('/bench/routing/index.html', server.resolvedUrls!.local[0]).href);
    await page.waitForFunction(() => 'measure' in window);
    const figures = await page.evaluate(([c, p, o]) => window.measure(c, p, o), [
      config as object,
      presents,
      { steps, variants: [...variants] },
    ] as const);
    return { version: browser.version(), figures };
  } finally {
    await browser.close();
    await server.close();
  }
}
