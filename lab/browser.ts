// Pages of this repository, served by Vite and opened in Chromium. Vite and Playwright are loaded only when a page is opened: a bundled
// script that opens none must run where neither is installed.
import type { Browser, Page } from 'playwright';
import type { InlineConfig } from 'vite';
import { launchOptions } from '../tools/setup/browser.mjs';

/**
 * Starts a browser that runs WebGPU: on the software adapter, or with SIFT_GPU=1 on the GPU.
 *
 * @param args - more flags
 */
export async function launchBrowser(args: readonly string[] = []): Promise<Browser> {
  const { chromium } = await import('playwright');
  const options = launchOptions();
  return chromium.launch({ ...options, args: [...options.args, ...args] });
}

/** A server without a socket to its pages: a reload by hot updates would cut a measurement off. */
export const NO_RELOAD = { host: '127.0.0.1', ws: false } as const;

/**
 * A Vite server of the repository's files as they are, on a port that is free.
 *
 * @param root - the repository's root
 * @param cache - names the folder of Vite's cache: servers that run side by side must not share one
 * @param changes - what differs from the usual settings
 */
export const repositoryServer = (
  root: string,
  cache: string,
  { server, ...others }: InlineConfig = {},
): InlineConfig => ({
  root,
  configFile: false,
  cacheDir: `.cache/vite-${cache}`,
  // Pre-bundled, the runtime would look for its WebAssembly beside the bundle.
  // The examples are projects of their own, which import the package by its name: Vite would look for it, and then bundle nothing beforehand.
  optimizeDeps: { entries: ['{e2e,quality,lab,tools}/**/*.html'], exclude: ['onnxruntime-web'] },
  logLevel: 'error',
  ...others,
  server: { port: 0, watch: null, ...server },
});

/** A page with a server and a browser of its own. */
export interface ServedPage {
  page: Page;
  browser: Browser;
  /** Ends the browser and the server. */
  close(): Promise<void>;
}

/**
 * Starts a server and a browser, and opens a page.
 *
 * @param path - the page's path on the server
 * @param prepare - is given the page before it loads
 * @param args - more flags of the browser
 */
export async function openServedPage(
  path: string,
  config: InlineConfig,
  prepare: (page: Page) => void | Promise<void>,
  args: readonly string[] = [],
): Promise<ServedPage> {
  const { createServer } = await import('vite');
  const server = await createServer(config);
  let browser: Browser | undefined;
  const close = async () => {
    await browser?.close();
    await server.close();
  };
  try {
    await server.listen();
    const address = server.resolvedUrls?.local[0];
    if (!address) throw new Error('The server of the page did not start.');
    browser = await launchBrowser(args);
    const page = await browser.newPage();
    await prepare(page);
    await page.goto(new URL(path, address).href);
    return { page, browser, close };
  } catch (error) {
    await close();
    throw error;
  }
}
