// The pages that sequences are done in: one for them, and others where what is expected of them comes from.
import type { Browser, Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { launchBrowser, repositoryServer } from '../../lab/browser.ts';
import { fileInMemory, modelServer } from '../../lab/model-server.ts';
import { ROOT } from '../../lab/root.ts';
import { smallDecoder } from '../../tools/models/small-decoder.ts';
import { VOCABULARY } from './action.ts';
import { POSITIONS } from './model.ts';

const SIZES = { positions: POSITIONS, vocabulary: VOCABULARY };
/** Small, so that a step takes the software adapter milliseconds: what is tested is the plugin's life, not the text. */
const MODELS: Record<string, Record<string, Uint8Array>> = {
  grouped: smallDecoder({ ...SIZES, queryHeads: 8 }),
  single: smallDecoder({ ...SIZES, queryHeads: 2, kvHeads: 2, headSize: 64, packed: true, seed: 4 }),
};

/** A browser and a server of the repository's files and of small models. */
export class Pages {
  private constructor(
    private readonly server: ViteDevServer,
    private readonly browser: Browser,
  ) {}

  static async open(): Promise<Pages> {
    const served = modelServer((path) => {
      const [, folder, name = '', ...rest] = path.split('/');
      const files = folder === 'models' ? MODELS[name] : undefined;
      const file = files?.[rest.join('/')];
      return file ? fileInMemory(file) : files && null;
    });
    const server = await createServer(repositoryServer(ROOT, 'life', { plugins: [served] }));
    await server.listen();
    return new Pages(server, await launchBrowser());
  }

  get browserVersion(): string {
    return this.browser.version();
  }

  /** The adapter that the pages have, in words. */
  async adapter(): Promise<string> {
    const page = await this.page('/e2e/life/page/index.html', 'life');
    const adapter = await page.evaluate(async () => {
      const { vendor, architecture, description } = (await navigator.gpu.requestAdapter())!.info;
      return [vendor, architecture, description].filter(Boolean).join(' ');
    });
    await page.close();
    return adapter;
  }

  /** Opens a page. @param ready the name of what it has on `window` when it is ready */
  async page(path: string, ready: string): Promise<Page> {
    const page = await this.browser.newPage();
    page.on('pageerror', (error) => console.error('page error:', error.message));
    await page.goto(new URL(path, this.server.resolvedUrls!.local[0]!).href);
    await page.waitForFunction((name) => name in window, ready);
    return page;
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.server.close();
  }
}
