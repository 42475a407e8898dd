// The examples that load no model, and what all have in common. Those with a model are in tools/examples/pages.install.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import { type ExampleStage, exampleStage, status } from './example-stage.ts';

const EXAMPLES = ['chat-react', 'document-question', 'kernel', 'node-dawn', 'plain-html', 'web-llm'];

let stage: ExampleStage;
beforeAll(async () => {
  stage = await exampleStage();
});
afterEach(() => stage.clear());
afterAll(() => stage?.close());

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

test('the kernel agrees with plain JavaScript, and reads fewer rows', async () => {
  const { page, errors } = await stage.open('kernel');
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
  expect([stage.outside, errors]).toEqual([[], []]);
});

test('the web-llm page offers models and presets, and says it when a model cannot be loaded', async () => {
  const { page } = await stage.open('web-llm');
  await status(page, /^Choose a model/);
  expect(await page.locator('#model option').count()).toBeGreaterThan(50);
  expect(await page.locator('#model').inputValue()).toContain('Llama-3.2-1B');
  await page.locator('#quality').selectOption('fast');
  await status(page, /^Choose a model/);
  expect(stage.outside).toEqual([]);
  await page.getByRole('button', { name: 'Load' }).click();
  // Without half precision web-llm refuses this model at once; with it, its files cannot be had here.
  await page.locator('#status.error').waitFor();
  expect(await page.textContent('#status')).toMatch(/.{10}/);
  expect(await page.getByRole('button', { name: 'Load' }).isEnabled()).toBe(true);
});
