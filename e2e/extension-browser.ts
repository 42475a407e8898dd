// Chromium with the extension "Ask this page" loaded, and pages on which its icon is clicked.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, type CDPSession, chromium, type Page } from 'playwright';
import { build } from 'vite';
import { ROOT } from '../lab/root.ts';
import { exampleConfig, linkPackage } from '../tools/examples/build.ts';
import { launchOptions } from '../tools/setup/browser.mjs';

const FOLDER = join(ROOT, 'examples/extension');
/** Where the extension is built. */
export const DIST = join(FOLDER, 'dist');

/** Makes the extension as `npm run extension` does, of the package that is built. */
export async function buildExtension(): Promise<void> {
  if (!existsSync(join(ROOT, 'dist/index.js'))) throw new Error('The package is not built: npm run build.');
  linkPackage();
  await build(exampleConfig(FOLDER));
}

/** A browser with an empty profile and the extension. Nothing but this machine can be reached from it. */
export interface ExtensionBrowser {
  readonly context: BrowserContext;
  /** The browser's own line of the DevTools protocol. */
  readonly cdp: CDPSession;
  /** Ends in a slash. */
  readonly url: string;
  /** The extension's pages that are open now: panels and the document that holds the model. */
  pages(name: 'panel' | 'offscreen'): Page[];
  /** Clicks the extension's icon on a tab. */
  click(page: Page): Promise<void>;
  /** Clicks the icon on a tab that has no panel yet, and gives the panel that the browser opens. */
  openPanel(page: Page): Promise<Page>;
  /** Ends the service worker, as the browser does when it has had nothing to do for a while. */
  endServiceWorker(): Promise<void>;
  close(): Promise<void>;
}

/** Flags of a browser that has no graphics adapter for WebGPU, hardware or software. */
const NO_WEBGPU = ['--disable-gpu', '--disable-software-rasterizer'];

/**
 * Starts a browser with the extension.
 *
 * @param webgpu - false: the browser has no graphics adapter
 */
export async function openExtension(webgpu = true): Promise<ExtensionBrowser> {
  // To Playwright a side panel is a page of another kind, with which it has nothing to do unless it is told to.
  process.env.PW_CHROMIUM_ATTACH_TO_OTHER = '1';
  const profile = mkdtempSync(join(tmpdir(), 'sift-extension-'));
  const options = launchOptions();
  const context = await chromium.launchPersistentContext(profile, {
    ...options,
    // Chromium without a window that still has extensions. `headless: true` may take a build that has none.
    headless: false,
    viewport: null,
    args: [
      ...(webgpu ? options.args : [...options.args.filter((it) => !/webgpu|Vulkan/.test(it)), ...NO_WEBGPU]),
      '--headless=new',
      `--load-extension=${DIST}`,
      `--disable-extensions-except=${DIST}`,
      '--disable-features=DisableLoadExtensionCommandLineSwitch',
      '--enable-unsafe-extension-debugging',
      '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
    ],
  });
  context.setDefaultTimeout(600_000);
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
  const url = new URL('/', worker.url()).href;
  const id = new URL(url).host;
  const cdp = await context.browser()!.newBrowserCDPSession();

  const pages = (name: string) =>
    context.pages().filter((page) => page.url().startsWith(`${url}${name}.html`));

  async function click(page: Page): Promise<void> {
    await page.bringToFront();
    const { targetInfos } = await cdp.send('Target.getTargets', { filter: [{ type: 'tab' }] });
    // The tab of a page has the page's address. A test gives each of its pages another.
    const tab = targetInfos.find((it) => it.url === page.url());
    if (!tab) throw new Error(`There is no tab for ${page.url()}.`);
    // Playwright does not know this method yet.
    await (cdp.send as (method: string, params: object) => Promise<unknown>)('Extensions.triggerAction', {
      id,
      targetId: tab.targetId,
    });
  }

  async function openPanel(page: Page): Promise<Page> {
    const before = pages('panel');
    await click(page);
    for (;;) {
      const panel = pages('panel').find((it) => !before.includes(it));
      if (panel) return panel;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function endServiceWorker(): Promise<void> {
    const found = async () =>
      (await cdp.send('Target.getTargets')).targetInfos.find(({ type }) => type === 'service_worker');
    const running = await found();
    if (!running) throw new Error('The service worker does not run.');
    await cdp.send('Target.closeTarget', { targetId: running.targetId });
    while (await found()) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  return {
    context,
    cdp,
    url,
    pages,
    click,
    openPanel,
    endServiceWorker,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
