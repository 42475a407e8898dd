// The examples, each in a copy of its folder that has the packed package installed, with its addresses of the hub and of the CDN.
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { launchBrowser } from '../lab/browser.ts';
import { ROOT } from '../lab/root.ts';
import { copyExample, exampleConfig } from '../tools/examples/build.ts';
import { type Packed, pack } from '../tools/package/packed.ts';
import { standIn } from './cdn.ts';
import { type PlainSite, servePlain } from './plain-site.ts';

const CHAT =
  "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
const EXAMPLES = ['chat-react', 'document-question', 'kernel', 'node-dawn', 'plain-html', 'web-llm'];

let packed: Packed;
let site: PlainSite;
let browser: Browser | undefined;
let context: BrowserContext | undefined;
beforeAll(async () => {
  packed = pack();
  site = await servePlain({});
});
afterEach(async () => {
  await context?.close();
  context = undefined;
});
afterAll(async () => {
  await browser?.close();
  site?.close();
  packed?.remove();
});

/** The address of an example that was built, or of its files if it needs no build. */
async function address(name: string): Promise<string> {
  const folder = copyExample(name, packed.folder);
  const built = existsSync(join(folder, 'vite.config.ts'));
  if (built)
    await build({ ...exampleConfig(folder), configFile: join(folder, 'vite.config.ts'), logLevel: 'error' });
  return site.url + relative(ROOT, join(folder, built ? 'dist/index.html' : 'index.html'));
}

interface Opened {
  page: Page;
  outside: string[];
  errors: string[];
}

async function open(url: string, chatTemplate?: string): Promise<Opened> {
  browser ??= await launchBrowser();
  context = await browser.newContext();
  context.setDefaultTimeout(600_000);
  const packages = { 'sift-attention': packed.installed };
  const outside = await standIn(context, { packages, ...(chatTemplate ? { chatTemplate } : {}) });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  await page.goto(url);
  return { page, outside, errors };
}

const status = (page: Page, text: RegExp) => page.getByRole('status').filter({ hasText: text }).waitFor();

test('each names the version of the package that is here, and says how it is run', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  for (const name of EXAMPLES) {
    const read = (file: string) => readFileSync(join(ROOT, 'examples', name, file), 'utf8');
    if (name === 'plain-html') expect(read('index.html')).toContain(`sift-attention@${version}/`);
    else expect(read('package.json'), name).toContain(`"sift-attention": "^${version}"`);
    const commands = /```sh\n([\s\S]*?)```/.exec(read('README.md'))?.[1]?.trim().split('\n') ?? [];
    expect(commands.length, name).toBeGreaterThan(0);
    expect(commands.length, name).toBeLessThanOrEqual(3);
  }
});

test('plain HTML from a CDN writes on', async () => {
  const { page, outside, errors } = await open(`${await address('plain-html')}?dtype=q4&tokens=6`);
  await status(page, /^Ready\.$/);
  await page.getByRole('textbox').fill('The old house');
  await page.getByRole('button').click();
  await status(page, /^Sift is on: /);
  const text = await page.locator('#output').textContent();
  expect(text!.length).toBeGreaterThan('The old house'.length);
  expect([outside, errors]).toEqual([[], []]);
});

test('the chat keeps its cache over turns, can be stopped, and begins anew', async () => {
  const { page, outside, errors } = await open(`${await address('chat-react')}?dtype=q4&tokens=12`, CHAT);
  await page.getByRole('button', { name: 'Load the model' }).click();
  await status(page, /^Ready, with sift\.$/);
  const ask = async (text: string) => {
    await page.getByRole('textbox').fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  };
  const figures = async (turn: number) => {
    const text = await page.locator('article').nth(turn).locator('.figures').textContent();
    return /([\d.]+) tokens a second · (\d+) tokens, (\d+) kept/.exec(text!)!.slice(1).map(Number);
  };
  await ask('The ship came in the evening.');
  const [speed, first = 0, none] = await figures(0);
  expect(speed).toBeGreaterThan(0);
  expect(none).toBe(0);
  await ask('Where was it from?');
  const [, second, kept = 0] = await figures(1);
  expect(second).toBeGreaterThan(first);
  // The last token of an answer has no rows in the cache yet.
  expect([first, first - 1]).toContain(kept);
  expect(await page.locator('.figures').nth(1).getAttribute('title')).toMatch(/^Sift is on: /);

  await page.getByRole('button', { name: 'New chat' }).click();
  await expect.poll(() => page.locator('article').count()).toBe(0);
  await ask('Another one.');
  expect((await figures(0))[2]).toBe(0);
  expect([outside, errors]).toEqual([[], []]);
});

test('the chat says it when a model is not there, and an answer can be stopped', async () => {
  const url = await address('chat-react');
  const { page } = await open(`${url}?model=/none`);
  await page.getByRole('button', { name: 'Load the model' }).click();
  await page.getByRole('alert').waitFor();
  await page.getByRole('button', { name: 'Load again' }).waitFor();

  await page.goto(`${url}?dtype=q4&tokens=4000&model=/models/tiny`);
  await page.getByRole('button', { name: 'Load the model' }).click();
  await status(page, /^Ready, with sift\.$/);
  await page.getByRole('textbox').fill('The ship came in the evening.');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await status(page, /^Ready/);
  expect(await page.locator('.figures').textContent()).toMatch(/ [1-9]\d{0,2} tokens, 0 kept/);
});

test('a question about a document is answered', async () => {
  const { page, outside, errors } = await open(`${await address('document-question')}?dtype=q4&tokens=8`);
  await page.getByRole('button', { name: 'Ask' }).click();
  await status(page, /tokens of the text\. .*Sift is on: /);
  // The embedded model has learned to find such codes.
  expect(await page.locator('#answer').textContent()).toContain('48213');
  expect([outside, errors]).toEqual([[], []]);
});

test('the kernel agrees with plain JavaScript, and reads fewer rows', async () => {
  const { page, outside, errors } = await open(await address('kernel'));
  await page.getByRole('combobox').selectOption('2048');
  await page.getByRole('button').click();
  await status(page, /^Done on /);
  const rows = await page.locator('tbody tr').allInnerTexts();
  const [dense, sift] = rows.map((row) => row.split('\t').slice(1).map(Number.parseFloat));
  expect(dense![1]).toBe(100);
  expect(dense![2]).toBeLessThan(1e-4);
  expect(sift![1]).toBeGreaterThan(5);
  expect(sift![1]).toBeLessThan(70);
  expect(sift![2]).toBeLessThan(0.2);
  expect([outside, errors]).toEqual([[], []]);
});

test('the web-llm page offers models and presets, and says it when a model cannot be loaded', async () => {
  const { page, outside } = await open(await address('web-llm'));
  await status(page, /^Choose a model/);
  expect(await page.locator('#model option').count()).toBeGreaterThan(50);
  expect(await page.locator('#model').inputValue()).toContain('Llama-3.2-1B');
  await page.locator('#quality').selectOption('fast');
  await status(page, /^Choose a model/);
  expect(outside).toEqual([]);
  await page.getByRole('button', { name: 'Load' }).click();
  await page.locator('#status.error').waitFor();
  expect(outside.length).toBeGreaterThan(0);
  expect(await page.getByRole('button', { name: 'Load' }).isEnabled()).toBe(true);
});
