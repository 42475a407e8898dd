import type { Page } from 'playwright';
import type { ViteDevServer } from 'vite';
import { launchBrowser, NO_RELOAD, repositoryServer } from '../../lab/browser.ts';
import { fileInFolder, modelServer } from '../../lab/model-server.ts';
import type { DecodingPlan, PluginMeasurement, StockMeasurement } from './measurement.ts';
import type {} from './page/main.ts';
import type { Runtime } from './runtimes.ts';

const PREFIX = '/matrix-models/';

/** A page that gave no result: it crashed, or took too long. */
export class DeadPage extends Error {
  constructor(
    /** What it was doing. */
    readonly stage: string,
    message: string,
  ) {
    super(message);
  }
}

/** Serves a folder of models to pages, each of which lives in a browser of its own: what one page breaks, no other one meets. */
export class ModelPages {
  private constructor(
    private readonly server: ViteDevServer,
    private readonly address: string,
  ) {}

  /**
   * @param folder - holds a folder for each model
   * @param runtime - what the page has in place of the installed libraries
   * @param subgroups - keep those that are too narrow for the runtime's prompts
   */
  static async open(
    folder: string,
    { plugins, path, versions }: Runtime,
    subgroups: boolean,
  ): Promise<ModelPages> {
    const { createServer } = await import('vite');
    const models = modelServer((path) =>
      path.startsWith(PREFIX) ? fileInFolder(folder, path.slice(PREFIX.length)) : undefined,
    );
    // What Vite bundles of one pair of libraries must not be taken for another's.
    const cache = path === null ? 'matrix' : `matrix-${Object.values(versions).join('-')}`;
    const config = repositoryServer(process.cwd(), cache, {
      server: NO_RELOAD,
      plugins: [models, ...plugins],
    });
    const server = await createServer(config);
    await server.listen();
    const address = server.resolvedUrls?.local[0];
    if (!address) throw new Error('The server of the pages did not start.');
    const query = new URLSearchParams({
      ...(path !== null && { runtime: path }),
      ...(subgroups && { subgroups: '' }),
    });
    return new ModelPages(server, new URL(`quality/matrix/page/index.html?${query}`, address).href);
  }

  /**
   * Stock in a fresh page.
   *
   * @param times - how often the short span is decoded
   * @param seconds - after which the page is given up
   * @throws {DeadPage}
   */
  stock(plan: DecodingPlan, times: number, seconds: number): Promise<StockMeasurement> {
    return this.inPage(seconds, (page) =>
      page.evaluate(([plan, times]) => window.matrix.measureStock(plan, times), [plan, times] as const),
    );
  }

  /**
   * The plugin in a fresh page.
   *
   * @param seconds - after which the page is given up
   * @throws {DeadPage}
   */
  plugin(plan: DecodingPlan, seconds: number): Promise<PluginMeasurement> {
    return this.inPage(seconds, (page) => page.evaluate((plan) => window.matrix.measurePlugin(plan), plan));
  }

  close(): Promise<void> {
    return this.server.close();
  }

  private async inPage<T>(seconds: number, measure: (page: Page) => Promise<T>): Promise<T> {
    let stage = 'opening the page';
    const browser = await launchBrowser();
    let timer: NodeJS.Timeout | undefined;
    try {
      const page = await browser.newPage();
      page.setDefaultTimeout(0); // `seconds` is the limit
      await page.exposeFunction('matrixStage', (name: string) => {
        stage = name;
      });
      const died = new Promise<never>((_, reject) => {
        const die = (message: string) => reject(new DeadPage(stage, message));
        timer = setTimeout(() => die(`no result after ${seconds} s`), seconds * 1000);
        page.on('crash', () => die('the page crashed'));
        browser.on('disconnected', () => die('the browser ended'));
        // An error of the page's own script ends it before it has begun.
        page.on('pageerror', (error) => stage === 'opening the page' && die(error.message));
      });
      const result = (async () => {
        await page.goto(this.address);
        await page.waitForFunction(() => 'matrix' in window);
        return measure(page);
      })();
      // Whichever of the two loses is rejected when the browser closes.
      for (const promise of [result, died]) promise.catch(() => {});
      return await Promise.race([result, died]);
    } catch (error) {
      if (error instanceof DeadPage) throw error;
      throw new DeadPage(stage, error instanceof Error ? error.message : String(error));
    } finally {
      clearTimeout(timer);
      await browser.close();
    }
  }
}
