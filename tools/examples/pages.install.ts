// The examples that load a model. On a software adapter that takes a minute each.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type ExampleStage, exampleStage, status } from '../../e2e/example-stage.ts';

let stage: ExampleStage;
beforeAll(async () => {
  stage = await exampleStage();
});
afterEach(() => stage.clear());
afterAll(() => stage?.close());

test('plain HTML from a CDN writes on', async () => {
  const { page, errors } = await stage.open('plain-html', '?dtype=q4&tokens=4');
  await status(page, /^Ready\.$/);
  await page.getByRole('textbox').fill('The old house');
  await page.getByRole('button').click();
  await status(page, /^Sift is on: /);
  const text = await page.locator('#output').textContent();
  expect(text!.length).toBeGreaterThan('The old house'.length);
  expect([stage.outside, errors]).toEqual([[], []]);
});

test('the chat keeps its cache over turns, can be stopped, and begins anew', async () => {
  const { page, errors } = await stage.open('chat-react', '?model=chat/tiny&dtype=q4&tokens=4');
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
  expect([stage.outside, errors]).toEqual([[], []]);
});

test('the chat says it when a model is not there, and an answer can be stopped', async () => {
  const { page } = await stage.open('chat-react', '?model=/none');
  await page.getByRole('button', { name: 'Load the model' }).click();
  await page.getByRole('alert').waitFor();
  await page.getByRole('button', { name: 'Load again' }).waitFor();

  await page.goto(page.url().replace('model=/none', 'dtype=q4&tokens=4000&model=/models/tiny'));
  await page.getByRole('button', { name: 'Load the model' }).click();
  await status(page, /^Ready, with sift\.$/);
  await page.getByRole('textbox').fill('The ship came in the evening.');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await status(page, /^Ready/);
  expect(await page.locator('.figures').textContent()).toMatch(/ [1-9]\d{0,2} tokens, 0 kept/);
});

test('a question about a document is answered', async () => {
  const { page, errors } = await stage.open('document-question', '?dtype=q4&tokens=6');
  await page.getByRole('button', { name: 'Ask' }).click();
  await status(page, /tokens of the text\. .*Sift is on: /);
  // The embedded model has learned to find such codes.
  expect(await page.locator('#answer').textContent()).toContain('48213');
  expect([stage.outside, errors]).toEqual([[], []]);
});
