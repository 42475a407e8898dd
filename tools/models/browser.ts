import { basename, dirname, relative, resolve, sep } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { ROOT } from '../../lab/root.ts';
import { browserArgs, findBrowser } from '../setup/browser.mjs';
import type { Dtype } from './llama.ts';
import type { Device, MeasureOptions, Measures } from './measure.ts';
import type { PageModel } from './page.ts';

/** A model folder inside the repository, and how to run it. */
export interface BrowserModel {
  readonly folder: string;
  readonly dtype: Dtype;
  readonly device: Device;
}

/** A browser with tools/models/page.html open, served by Vite from the repository's root. */
export class ModelBrowser {
  private readonly server: ViteDevServer;
  private readonly browser: Browser;
  private readonly page: Page;

  private constructor(server: ViteDevServer, browser: Browser, page: Page) {
    this.server = server;
    this.browser = browser;
    this.page = page;
  }

  /** Starts the server and the browser: that of `CHROME_PATH`, or one that is found. */
  static async start(): Promise<ModelBrowser> {
    const server = await createServer({
      root: ROOT,
      configFile: false,
      logLevel: 'warn',
      cacheDir: '.cache/vite-models',
      // No socket: a reload by hot updates would cut a measurement off. (Vite's client logs that it misses it.)
      server: { host: '127.0.0.1', port: 0, ws: false, watch: null },
      // Pre-bundled, the runtime would look for its WebAssembly beside the bundle.
      optimizeDeps: { exclude: ['@huggingface/transformers'] },
    });
    try {
      await server.listen();
      const executablePath = findBrowser();
      const options = { headless: true, args: browserArgs() };
      const browser = await chromium.launch(executablePath ? { ...options, executablePath } : options);
      const page = await browser.newPage();
      page.on('pageerror', (error) => console.error(`page: ${error.message}`));
      const { port } = server.httpServer!.address() as { port: number };
      await page.goto(`http://127.0.0.1:${port}/tools/models/page.html`);
      await page.waitForFunction(() => window.converted !== undefined);
      return new ModelBrowser(server, browser, page);
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** Vendor and architecture of the WebGPU adapter; '' without one. */
  adapter(): Promise<string> {
    return this.page.evaluate(() => window.converted!.adapter());
  }

  /** Measures a model on a text in the browser. */
  measure(model: BrowserModel, text: string, options: MeasureOptions): Promise<Measures> {
    return this.page.evaluate(
      ([pageModel, textArg, optionsArg]) => window.converted!.measure(pageModel, textArg, optionsArg),
      [pageModel(model), text, options] as const,
    );
  }

  /** Greedy continuation of a prompt by transformers.js' own pipeline. */
  generate(model: BrowserModel, prompt: string, newTokens: number): Promise<string> {
    return this.page.evaluate(
      ([pageModel, promptArg, count]) => window.converted!.generate(pageModel, promptArg, count),
      [pageModel(model), prompt, newTokens] as const,
    );
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.server.close();
  }
}

function pageModel({ folder, dtype, device }: BrowserModel): PageModel {
  const inside = relative(ROOT, resolve(folder));
  if (inside.startsWith('..'))
    throw new Error(`${folder} is outside the repository, which is what is served`);
  const parent = dirname(inside).split(sep).join('/');
  return { path: `/${parent}/`, name: basename(inside), dtype, device };
}
