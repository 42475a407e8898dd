// The examples, each in a copy of its folder that has the packed package installed, with its addresses of the hub and of the CDN.
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Page } from 'playwright';
import { build } from 'vite';
import { launchBrowser } from '../lab/browser.ts';
import { ROOT } from '../lab/root.ts';
import { copyExample, exampleConfig } from '../tools/examples/build.ts';
import { pack } from '../tools/package/packed.ts';
import { standIn } from './cdn.ts';
import { servePlain } from './plain-site.ts';

/** An example's page, in a browser that can reach this machine alone. */
export interface ExamplePage {
  page: Page;
  errors: string[];
}

export interface ExampleStage {
  /** Builds an example, if it needs that, and opens it. */
  open(name: string, query?: string): Promise<ExamplePage>;
  /** Requests to other machines, which were refused. */
  readonly outside: string[];
  /** Closes the pages. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** Packs the package, and starts a server and a browser. */
export async function exampleStage(): Promise<ExampleStage> {
  const packed = pack();
  const site = await servePlain({});
  const browser = await launchBrowser();
  // One for all pages: what the plugin has measured on the device is known to those that come later.
  const context = await browser.newContext();
  context.setDefaultTimeout(600_000);
  const outside = await standIn(context, { 'sift-attention': packed.installed });
  const addresses = new Map<string, string>();

  async function make(name: string): Promise<string> {
    const folder = copyExample(name, packed.folder);
    const configFile = join(folder, 'vite.config.ts');
    const built = existsSync(configFile);
    if (built) await build({ ...exampleConfig(folder), configFile, logLevel: 'error' });
    return site.url + relative(ROOT, join(folder, built ? 'dist/index.html' : 'index.html'));
  }

  return {
    outside,
    async open(name, query = '') {
      const address = addresses.get(name) ?? (await make(name));
      addresses.set(name, address);
      const page = await context.newPage();
      const errors: string[] = [];
      page.on('pageerror', ({ message }) => errors.push(message));
      await page.goto(address + query);
      return { page, errors };
    },
    async clear() {
      for (const page of context.pages()) await page.close();
      outside.length = 0;
    },
    async close() {
      await browser.close();
      site.close();
      packed.remove();
    },
  };
}

/** Waits until the page's status is of a form. */
export const status = (page: Page, text: RegExp) =>
  page.getByRole('status').filter({ hasText: text }).waitFor();
