// Pages that forbid as much as they can: a strict content security policy, isolation from other origins, a sandbox without an origin.
import type { Browser, BrowserContext } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser } from '../lab/browser.ts';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { type PlainSite, servePlain } from './plain-site.ts';

const HEAD = '<!doctype html><link rel="icon" href="data:,">';
const PAGE = `${HEAD}<script type="module" src="/e2e/page/isolated.js"></script>`;
const FRAME = `${HEAD}<iframe sandbox="allow-scripts" src="/isolated.html"></iframe>`;
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'; frame-src 'self'; img-src data:",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  // For the frame, whose origin is not the page's.
  'cross-origin-resource-policy': 'cross-origin',
  'access-control-allow-origin': '*',
};
const SERVED = {
  ...{ same: true, steps: { sifted: 0, dense: 4 }, layers: 2 },
  ...{ firstDifference: null, tested: true, crossover: 'measured' },
};

let site: PlainSite;
let browser: Browser;
beforeAll(async () => {
  site = await servePlain({ 'isolated.html': PAGE, 'frame.html': FRAME }, { plain: smallDecoder() }, HEADERS);
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  site?.close();
});

/** What a page or its frame found, and what was asked of other servers. */
async function visit(context: BrowserContext, path: string) {
  const page = await context.newPage();
  const outside: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(site.url) && !/^(data|blob):/.test(url)) outside.push(url);
  });
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', ({ message }) => complaints.push(message));
  await page.addInitScript(() => {
    addEventListener('message', ({ data }) => Object.assign(window, { result: data }));
  });
  await page.goto(site.url + path);
  await page.waitForFunction(() => 'result' in window, undefined, { timeout: 600_000 });
  const result = await page.evaluate(() => (window as unknown as { result: unknown }).result);
  const stored = await page.evaluate(async () => [
    ...(await indexedDB.databases()).map(({ name }) => name),
    ...Object.keys(localStorage),
    ...(await caches.keys()),
  ]);
  return { result, outside, complaints, stored };
}

test('no inline script, no eval, no other server; isolated from other origins', async () => {
  const context = await browser.newContext();
  expect(await visit(context, 'isolated.html')).toEqual({
    result: { served: SERVED, left: [], isolated: true, origin: new URL(site.url).origin },
    outside: [],
    complaints: [],
    stored: ['sift-attention'],
  });
  await context.close();
});

test('a sandboxed frame, which has no origin and may store nothing', async () => {
  const context = await browser.newContext();
  expect(await visit(context, 'frame.html')).toEqual({
    result: { served: SERVED, left: [], isolated: false, origin: 'null' },
    outside: [],
    complaints: [],
    stored: [],
  });
  await context.close();
});
