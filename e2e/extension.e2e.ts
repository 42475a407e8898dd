// The extension "Ask this page" on the embedded model: its icon is clicked, and its side panel is driven as a user would. The longer
// part runs with `SIFT_NIGHTLY=1`.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import { buildExtension, DIST, type ExtensionBrowser, openExtension } from './extension-browser.ts';
import { articles } from './extension-pages.ts';
import { type PlainSite, servePlain } from './plain-site.ts';

const OUT = join(ROOT, 'e2e/out');
const nightly = process.env.SIFT_NIGHTLY === '1';
const HARBOR = 'What is the access code for the silent harbor?';
let site: PlainSite;
let browser: ExtensionBrowser;
/** Where something was asked for that is neither the extension's nor the test's own. */
const outside: string[] = [];
/** What the pages' consoles had to say against a policy. */
const refused: string[] = [];

beforeAll(async () => {
  mkdirSync(OUT, { recursive: true });
  await buildExtension();
  site = await servePlain(articles());
  browser = await openExtension();
  browser.context.on('request', (request) => {
    if (![site.url, browser.url, 'chrome:'].some((start) => request.url().startsWith(start)))
      outside.push(request.url());
  });
  browser.context.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) refused.push(message.text());
  });
});
afterAll(async () => {
  await browser?.close();
  site?.close();
});

/** Opens a page in a tab of its own, and the panel of that tab. */
async function openTab(url: string): Promise<{ tab: Page; panel: Page }> {
  const tab = await browser.context.newPage();
  await tab.goto(url);
  const panel = await browser.openPanel(tab);
  await panel.setViewportSize({ width: 390, height: 844 });
  await panel.waitForFunction(
    () => document.querySelector('#page-note')?.textContent !== 'Reading the page…',
  );
  return { tab, panel };
}

/** Waits for the status of the latest exchange. */
const status = (panel: Page, wanted: string) =>
  panel.waitForSelector(`#exchanges li:last-child[data-status=${wanted}]`);

const answers = (panel: Page) => panel.locator('.answer').allTextContents();

async function type(panel: Page, question: string): Promise<void> {
  await panel.locator('#question').fill(question);
  await panel.locator('#question').press('Enter');
}

/** What the test needs of the extension's own interface. */
interface ExtensionGlobal {
  chrome: { storage: { local: { get(key: string): Promise<Record<string, unknown>> } } };
}

const SCHEMES = ['light', 'dark'] as const;

/** What axe finds wrong with the panel as it is, light and dark. Its tab must be in front. */
async function violations(panel: Page, name: string): Promise<string[]> {
  const found: string[] = [];
  await panel.evaluate(axe.source);
  for (const colorScheme of SCHEMES) {
    await panel.emulateMedia({ colorScheme });
    const { violations } = await panel.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
    found.push(
      ...violations.map(
        ({ id, nodes }) => `${colorScheme} ${id}: ${nodes.map(({ html }) => html).join(' ')}`,
      ),
    );
    await panel.screenshot({ path: join(OUT, `extension-${name}-${colorScheme}.png`) });
  }
  return found;
}

test('the built extension asks for the least, and holds no address of remote code', () => {
  const manifest = JSON.parse(readFileSync(join(DIST, 'manifest.json'), 'utf8'));
  expect(manifest.permissions).toEqual(['activeTab', 'scripting', 'sidePanel', 'storage', 'offscreen']);
  expect(manifest.host_permissions).toBeUndefined();
  expect(manifest.content_security_policy.extension_pages).toContain("script-src 'self' 'wasm-unsafe-eval';");
  const scripts = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.js'),
  );
  expect(scripts.length).toBeGreaterThan(3);
  for (const path of scripts)
    expect(readFileSync(join(DIST, path), 'utf8'), path).not.toContain('jsdelivr.net');
});

test('a question about a page, by keyboard; meanwhile the service worker ends; then a second tab asks', async () => {
  const { tab, panel } = await openTab(`${site.url}harbor.html`);
  expect(await panel.textContent('h1')).toBe('A speech');
  const read = await panel.locator('#page-text').inputValue();
  expect(read).toContain('The access code for the silent harbor is 48213.');
  // What is not the article is not read, and paragraphs stay apart where the markup has nothing between them.
  expect(read).not.toMatch(/Subscribe|Home|tracking/);
  expect(read).toMatch(/been called\.\n\nThe access/);
  expect(await violations(panel, 'page')).toEqual([]);

  // The embedded model is not asked what it cannot answer.
  await type(panel, 'Who wrote this?');
  expect(await panel.textContent('#question-note')).toContain('finds codes');
  expect(await panel.locator('.exchange').count()).toBe(0);

  // By keyboard alone: the settings, and a question that is offered.
  await panel.locator('#question').fill('');
  for (const id of ['send', 'SUMMARY', 'model', 'quality', 'siftFrom']) {
    await panel.keyboard.press('Tab');
    const at = await panel.evaluate(() => {
      const { id, tagName } = document.activeElement!;
      return [id, tagName, document.activeElement!.getAttribute('name')];
    });
    expect(at).toContain(id);
    if (id === 'SUMMARY') await panel.keyboard.press('Enter');
  }
  await panel.keyboard.press('End');
  expect(await panel.getByLabel('Rows are left out').inputValue()).toBe('0');
  await panel.locator('#options summary').press('Enter');
  await panel.locator('#suggestion-list button').press('Enter');
  await status(panel, 'reading');
  await browser.endServiceWorker();
  await status(panel, 'done');
  expect(await answers(panel)).toEqual(['The access code for the silent harbor is 48213.']);
  expect(await panel.textContent('.figures')).toMatch(
    /^\d+ tokens read · first token after [\d.]+ s · [\d,.]+ ms a token · \d+% of V rows read$/,
  );
  expect(await panel.textContent('#status')).toMatch(
    /^Ready with sift \(balanced\): the embedded model, on ./,
  );
  expect(await panel.evaluate(() => document.activeElement?.id)).toBe('question');
  expect(await violations(panel, 'answer')).toEqual([]);

  // The click starts the service worker again.
  const second = await openTab(`${site.url}river.html`);
  expect(await second.panel.getByLabel('Rows are left out').inputValue()).toBe('0');
  expect(await answers(second.panel)).toEqual([]);
  await type(second.panel, 'the number of the golden river, please');
  await status(second.panel, 'reading');
  await tab.bringToFront();
  await type(panel, HARBOR);
  await status(panel, 'queued');
  await panel.locator('#stop').press('Enter');
  await status(panel, 'stopped');
  await second.tab.bringToFront();
  await status(second.panel, 'done');
  expect(await answers(second.panel)).toEqual(['The number of the golden river is 90417.']);
  expect(await answers(panel)).toEqual(['The access code for the silent harbor is 48213.', 'Stopped.']);
  expect(refused).toEqual([]);
  expect(outside).toEqual([]);
});

test('pages that cannot be read say why; the sample can be read on each', async () => {
  const pages = [
    ['chrome://version/', 'This is a page of the browser'],
    [`${site.url}empty.html`, 'There is no text on this page.'],
    [`${site.url}words.html`, '8 words.'],
  ] as const;
  for (const [url, note] of pages) {
    const { panel, tab } = await openTab(url);
    expect(await panel.textContent('#page-note'), url).toContain(note);
    expect(await panel.locator('#send').isDisabled(), url).toBe(!note.endsWith('words.'));
    await panel.locator('#sample').press('Enter');
    await panel.waitForSelector('#suggestion-list li:nth-child(3)');
    await tab.close();
  }
});

describe.runIf(nightly)('the longer part', () => {
  test('stopped while the model loads, while it reads and while it answers', async () => {
    const { panel } = await openTab(`${site.url}harbor.html?stop`);
    // The model is loaded again, so that loading can be stopped.
    await browser.pages('offscreen')[0]!.close();
    await panel.waitForFunction(() => document.querySelector('#status')!.textContent!.includes('no longer'));
    await type(panel, HARBOR);
    await panel.waitForFunction(() =>
      /^Loading|^Trying/.test(document.querySelector('#status')!.textContent!),
    );
    expect(await violations(panel, 'loading')).toEqual([]);
    await panel.locator('#stop').click();
    await status(panel, 'stopped');
    expect(await panel.textContent('#status')).toContain('The next question loads it again');
    for (const phase of ['reading', 'answering']) {
      await type(panel, HARBOR);
      await status(panel, phase);
      expect(await violations(panel, phase)).toEqual([]);
      await panel.locator('#stop').click();
      await status(panel, 'stopped');
    }
    expect(await violations(panel, 'stopped')).toEqual([]);
    await type(panel, HARBOR);
    await status(panel, 'done');
    expect((await answers(panel)).at(-1)).toBe('The access code for the silent harbor is 48213.');
  });

  test('the document of the model is closed while it answers: the panel says so, and it is loaded again', async () => {
    const { panel } = await openTab(`${site.url}harbor.html?closed`);
    await type(panel, HARBOR);
    await status(panel, 'reading');
    await browser.pages('offscreen')[0]!.close();
    await status(panel, 'failed');
    expect((await answers(panel)).at(-1)).toContain('The browser closed the document that holds the model.');
    expect(await violations(panel, 'closed')).toEqual([]);
    await type(panel, HARBOR);
    await panel.waitForFunction(() => document.querySelector('#status')!.textContent!.includes('again…'));
    await status(panel, 'done');
    expect((await answers(panel)).at(-1)).toBe('The access code for the silent harbor is 48213.');
  });

  test('a code beyond what is read, another preset, and settings that are not allowed', async () => {
    const { panel } = await openTab(`${site.url}long.html`);
    await panel.locator('#options summary').click();
    expect(await violations(panel, 'settings')).toEqual([]);
    const limit = panel.getByLabel('Tokens of a page, at most');
    await limit.fill('256');
    await limit.press('Tab');
    await panel.getByLabel('Preset').selectOption('exact');
    await panel.locator('#options summary').click();
    await type(panel, HARBOR);
    await status(panel, 'failed');
    expect((await answers(panel)).at(-1)).toContain('further down than the 256 tokens');
    await panel.locator('#options summary').click();
    await limit.fill('1');
    await limit.press('Tab');
    const kept = () =>
      panel.evaluate(
        async () =>
          (await (globalThis as unknown as ExtensionGlobal).chrome.storage.local.get('settings')).settings,
      );
    expect(await kept()).toMatchObject({ contextLimit: 256, quality: 'exact' });
    await limit.fill('4096');
    await limit.press('Tab');
    await panel.getByLabel('Preset').selectOption('off');
    await panel.locator('#options summary').click();
    await type(panel, HARBOR);
    await status(panel, 'done');
    expect(await panel.textContent('#status')).toContain('without sift, as the settings ask');
    await panel.locator('#options summary').click();
    await panel.getByLabel('Preset').selectOption('balanced');
  });

  test('a model of the hub without a network, and a PDF', async () => {
    const { panel } = await openTab(`${site.url}words.html?hub`);
    expect(await violations(panel, 'no-codes')).toEqual([]);
    await panel.locator('#options summary').click();
    await panel.locator('[name=model]').selectOption('onnx-community/Qwen3-0.6B-ONNX');
    await panel.locator('#options summary').click();
    await type(panel, 'What is this about?');
    await status(panel, 'failed');
    expect((await answers(panel)).at(-1)).toContain('need a network');
    expect(await violations(panel, 'offline')).toEqual([]);
    await panel.locator('#options summary').click();
    await panel.locator('[name=model]').selectOption('embedded');
    const pdf = await openTab(`${site.url}paper.pdf`);
    expect(await pdf.panel.textContent('#page-note')).toContain('This is a PDF');
    expect(await violations(pdf.panel, 'pdf')).toEqual([]);
  });

  test('a tab that goes on: the panel reads the new page, or asks for a click', async () => {
    const { tab, panel } = await openTab(`${site.url}harbor.html?before`);
    await tab.goto(`${site.url}river.html?after`);
    await panel.waitForFunction(() => /river/.test(document.querySelector('#suggestion-list')!.textContent!));
    const elsewhere = await servePlain(articles());
    await tab.goto(`${elsewhere.url}harbor.html`);
    await panel.waitForFunction(() => /once more/.test(document.querySelector('#page-note')!.textContent!));
    expect(await panel.locator('#send').isDisabled()).toBe(true);
    expect(await violations(panel, 'refused')).toEqual([]);
    await browser.click(tab);
    await panel.waitForFunction(() =>
      /harbor/.test(document.querySelector('#suggestion-list')!.textContent!),
    );
    elsewhere.close();
  });

  test('without WebGPU the panel says so', async () => {
    const before = browser;
    browser = await openExtension(false);
    try {
      const { panel } = await openTab(`${site.url}harbor.html`);
      await type(panel, HARBOR);
      await status(panel, 'failed');
      expect((await answers(panel)).at(-1)).toContain('This browser has no WebGPU');
      expect(await violations(panel, 'no-webgpu')).toEqual([]);
    } finally {
      await browser.close();
      browser = before;
    }
  });
});
