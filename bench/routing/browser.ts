import { openServedPage, repositoryServer } from '../../lab/browser.ts';
import type { RoutingFigures, RoutingModel, RoutingOptions } from './measure.ts';

/** Measures in a browser, on the software adapter unless SIFT_GPU=1. The working directory must be the repository's root. */
export async function measureInBrowser(
  { bytes, config }: RoutingModel,
  { steps, variants, log }: RoutingOptions,
): Promise<{ version: string; figures: RoutingFigures[] }> {
  // The clock of an isolated page has steps of 5 microseconds, that of any other page steps of 100.
  const headers = {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
  };
  const server = repositoryServer(process.cwd(), 'routing', { server: { headers } });
  const { page, browser, close } = await openServedPage(
    '/bench/routing/page/index.html',
    server,
    async (page) => {
      page.setDefaultTimeout(0);
      page.on('console', (message) => log(`  ${message.text()}`.slice(0, 400)));
      page.on('pageerror', (error) => log(`page error: ${error.message}`.slice(0, 400)));
      await page.route('**/routing-model.onnx', (route) =>
        route.fulfill({ body: Buffer.from(bytes), contentType: 'application/octet-stream' }),
      );
    },
  );
  try {
    await page.waitForFunction(() => 'measure' in window);
    const figures = await page.evaluate(([c, o]) => window.measure(c, o), [
      config as object,
      { steps, variants: [...variants] },
    ] as const);
    return { version: browser.version(), figures };
  } finally {
    await close();
  }
}
