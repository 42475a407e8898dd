// The random model of lab/random-model in a browser: transformers.js loads it by its name, and no server has a file of it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPage, type Session } from './browser.ts';
import type {} from './page/random-model.ts';

let session: Session;
const requests: string[] = [];

beforeAll(async () => {
  session = await openPage('/e2e/page/random-model.html');
  await session.page.waitForFunction(() => 'randomModel' in window);
  session.page.on('request', (request) => requests.push(request.url()));
});
afterAll(() => session?.close());

const PROMPT = 'One day, a small model';

test('it generates, the same tokens with and without progress, and nothing of it is requested or stored', async () => {
  const run = (progress: boolean) =>
    session.page.evaluate(
      ([prompt, progress]) => window.randomModel.generate({ positions: 256 }, prompt, 6, progress),
      [PROMPT, progress] as const,
    );
  const first = await run(false);
  const second = await run(true);
  expect(first.text.startsWith(PROMPT)).toBe(true);
  expect(first.text.length).toBeGreaterThan(PROMPT.length);
  expect(second.text).toBe(first.text);
  expect(second.loaded).toBeGreaterThan(10e6);
  // The library has the browser's cache, and does not use it for this model.
  expect(await session.page.evaluate(() => window.randomModel.usesBrowserCache())).toBe(true);
  for (const { cached } of [first, second])
    expect(cached.filter((url) => url.includes('random'))).toEqual([]);
  expect(requests.filter((url) => url.includes('random/'))).toEqual([]);
  expect(session.outside).toEqual([]);
});

test('once it is not served any more, the server is asked', async () => {
  const status = await session.page.evaluate(() => window.randomModel.find());
  expect(status).not.toBe(200);
  expect(requests.some((url) => url.includes('random/small/config.json'))).toBe(true);
});
