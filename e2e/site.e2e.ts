// The documentation site as it is built: below a path, without a network, for everybody.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import { launchOptions } from '../tools/setup/browser.mjs';
import { REPOSITORY } from '../tools/site/links.ts';
import { type PlainSite, servePlain } from './plain-site.ts';

const FOLDER = '.cache/site-test';
/** Files of the repository are served, so that the site is below a path. */
const BASE = `/${FOLDER}/`;

/** Bytes of the first page and what it loads, compressed. */
const FIRST_PAGE = 150_000;

let pages: Map<string, string>;

beforeAll(() => {
  const cli = join(ROOT, 'node_modules/tsx/dist/cli.mjs');
  const args = [cli, join(ROOT, 'tools/site/build.ts'), '--base', BASE, '--out', FOLDER];
  // VitePress builds for production, which a test's own environment says otherwise.
  const { NODE_ENV: _, ...env } = process.env;
  execFileSync(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'inherit'] });
  const names = readdirSync(join(ROOT, FOLDER), { recursive: true, encoding: 'utf8' });
  pages = new Map(
    names
      .filter((name) => name.endsWith('.html'))
      .map((name) => [name.replaceAll('\\', '/'), readFileSync(join(ROOT, FOLDER, name), 'utf8')]),
  );
});

const decode = (text: string) => decodeURIComponent(text.replaceAll('&amp;', '&'));
const attributes = (html: string, tag: string, name: string): string[] =>
  [...html.matchAll(new RegExp(`<${tag}\\b[^>]*?\\s${name}="([^"]*)"`, 'g'))].map((match) =>
    decode(match[1]!),
  );
const anchors = (html: string): Set<string> => new Set(attributes(html, '\\w+', 'id'));

describe('as files', () => {
  /** Why a link leads to nothing; undefined if it leads somewhere, or away. */
  function fault(from: string, link: string): string | undefined {
    if (link.startsWith(`${REPOSITORY}/`)) {
      const path = link.slice(REPOSITORY.length + 1).replace(/#.*$/, '');
      return existsSync(join(ROOT, path)) ? undefined : `no file ${path} in the repository`;
    }
    if (/^\w+:/.test(link)) return;
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? BASE + from : posix.resolve(BASE + posix.dirname(from), path);
    if (!target.startsWith(BASE.slice(0, -1))) return `${target} is not below ${BASE}`;
    const name = target.slice(BASE.length) || 'index.html';
    const html = pages.get(name);
    if (html === undefined) return existsSync(join(ROOT, FOLDER, name)) ? undefined : `no page ${name}`;
    if (anchor && !anchors(html).has(anchor)) return `no #${anchor} on ${name}`;
  }

  test('no link of a page is dead', () => {
    expect(pages.size).toBeGreaterThan(30);
    const dead = [...pages].flatMap(([name, html]) =>
      [...new Set(attributes(html, 'a', 'href'))].flatMap((link) => {
        const why = fault(name, link);
        return why ? [`${name}: ${link}: ${why}`] : [];
      }),
    );
    expect(dead).toEqual([]);
  });

  test("no link of the README to the site's pages is dead", () => {
    const { homepage } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const links = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/\]\(([^)]+)\)/g)]
      .map((match) => match[1]!)
      .filter((link) => link.startsWith(homepage))
      .map((link) => BASE + link.slice(homepage.length));
    expect(links.length).toBeGreaterThan(5);
    expect(links.map((link) => fault('index.html', link)).filter(Boolean)).toEqual([]);
  });
});

describe('in a browser', () => {
  /** One of each kind: the first page, text, pictures, wide tables, sections, long code, plots. */
  const KINDS = ['index', 'start', 'how-it-works', 'performance', 'errors', 'api/index', 'internals/kernel'];
  const axe = readFileSync(join(ROOT, 'node_modules/axe-core/axe.min.js'), 'utf8');

  let browser: Browser;
  let site: PlainSite;
  beforeAll(async () => {
    browser = await chromium.launch(launchOptions());
    site = await servePlain({});
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  const address = (name: string) => `${site.url.slice(0, -1)}${BASE}${name}.html`;

  /** A page that can reach this machine alone, and what it asked for elsewhere. */
  async function open(context: BrowserContext): Promise<{ page: Page; outside: string[]; faults: string[] }> {
    const outside: string[] = [];
    const faults: string[] = [];
    const page = await context.newPage();
    await page.route('**/*', (route) => {
      const url = route.request().url();
      if (url.startsWith(site.url) || /^(data|blob):/.test(url)) return route.continue();
      outside.push(url);
      return route.abort();
    });
    page.on('pageerror', ({ message }) => faults.push(message));
    page.on('response', (response) => {
      if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
    });
    return { page, outside, faults };
  }

  test.each(['light', 'dark'] as const)('everybody can read it: %s', async (colorScheme) => {
    const context = await browser.newContext({ colorScheme, viewport: { width: 1280, height: 900 } });
    const { page, outside, faults } = await open(context);
    const violations: string[] = [];
    for (const name of KINDS) {
      await page.goto(address(name), { waitUntil: 'networkidle' });
      expect(await page.evaluate(() => document.documentElement.classList.contains('dark'))).toBe(
        colorScheme === 'dark',
      );
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const { axe } = window as unknown as { axe: typeof import('axe-core') };
        const { violations } = await axe.run(document, { resultTypes: ['violations'] });
        return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
      });
      violations.push(...found.map((text) => `${name}: ${text}`));
    }
    expect(violations).toEqual([]);
    expect(outside).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });

  test('the first page is light', async () => {
    const context = await browser.newContext();
    const { page } = await open(context);
    const bodies: Promise<Buffer>[] = [];
    page.on('response', (response) => {
      // Chunks of pages that are linked come when there is nothing else to do.
      if (response.request().headers().purpose !== 'prefetch') bodies.push(response.body());
    });
    await page.goto(address('index'), { waitUntil: 'load' });
    // As static hosts send them.
    const sizes = (await Promise.all(bodies)).map((body) => gzipSync(body).length);
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    console.log(`the first page: ${bytes} bytes in ${sizes.length} files`);
    expect(sizes.length).toBeGreaterThan(3);
    expect(bytes).toBeLessThan(FIRST_PAGE);
    await context.close();
  });

  test('a phone shows it without scrolling sideways, and the search finds pages', async () => {
    const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
    const { page, outside, faults } = await open(context);
    page.setDefaultTimeout(600_000);
    for (const name of KINDS) {
      await page.goto(address(name));
      expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(390);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.goto(address('index'), { waitUntil: 'networkidle' });
    // Before Vue has taken the page over, its buttons do nothing.
    await page.waitForFunction(() => '__vue_app__' in document.querySelector('#app')!);
    await page
      .getByRole('button', { name: /search/i })
      .first()
      .click();
    await page.getByRole('searchbox').fill('LATE_ENABLE');
    const first = page.locator('.VPLocalSearchBox .result').first();
    await first.waitFor();
    await first.click();
    await page.waitForURL(/errors\.html#late[-_]enable/);
    expect(outside).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
  });
});
