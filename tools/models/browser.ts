import { basename, dirname, relative, resolve, sep } from 'node:path';
import type { Page } from 'playwright';
import { NO_RELOAD, openServedPage, repositoryServer, type ServedPage } from '../../lab/browser.ts';
import { ROOT } from '../../lab/root.ts';
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
  private readonly served: ServedPage;

  private constructor(served: ServedPage) {
    this.served = served;
  }

  private get page(): Page {
    return this.served.page;
  }

  /** Starts the server and the browser: that of `CHROME_PATH`, or one that is found. */
  static async start(): Promise<ModelBrowser> {
    const config = repositoryServer(ROOT, 'models', {
      logLevel: 'warn',
      server: NO_RELOAD,
      // Pre-bundled, transformers.js would look for the runtime's WebAssembly beside the bundle.
      optimizeDeps: { exclude: ['@huggingface/transformers'] },
    });
    const served = await openServedPage('/tools/models/page.html', config, (page) => {
      page.on('pageerror', (error) => console.error(`page: ${error.message}`));
    });
    try {
      await served.page.waitForFunction(() => window.converted !== undefined);
      return new ModelBrowser(served);
    } catch (error) {
      await served.close();
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

  close(): Promise<void> {
    return this.served.close();
  }
}

function pageModel({ folder, dtype, device }: BrowserModel): PageModel {
  const inside = relative(ROOT, resolve(folder));
  if (inside.startsWith('..'))
    throw new Error(`${folder} is outside the repository, which is what is served`);
  const parent = dirname(inside).split(sep).join('/');
  return { path: `/${parent}/`, name: basename(inside), dtype, device };
}
