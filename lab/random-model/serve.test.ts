import { beforeEach, expect, test } from 'vitest';
import { lazyFile } from './model-file.ts';
import type { RandomModel } from './random-model.ts';
import { type HubEnvironment, serveRandomModel } from './serve.ts';

/** Times that the model's file was begun to be made. */
let made = 0;
const file = lazyFile(3, function* () {
  made++;
  yield Uint8Array.of(1);
  yield Uint8Array.of(2, 3);
});
const model = { files: new Map([['onnx/model_q4.onnx', file]]) } as unknown as RandomModel;

let env: HubEnvironment;
beforeEach(() => {
  made = 0;
  env = {
    fetch: async (input) => `fetched ${input}`,
    localModelPath: '/models/',
    remoteHost: 'https://hub.example/',
    remotePathTemplate: '{model}/resolve/{revision}/',
  };
});

const get = (url: string | URL) => env.fetch(url) as Promise<Response>;

test.each([
  '/models/random/a/onnx/model_q4.onnx',
  'https://hub.example/random/a/resolve/main/onnx/model_q4.onnx',
])('%s is the model’s, in either way of reading it', async (url) => {
  serveRandomModel(env, 'random/a', model);
  const response = await get(url);
  expect([response.status, response.headers.get('content-length')]).toEqual([200, '3']);
  expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([1, 2, 3]);
  const reader = (await get(new URL(url, 'https://hub.example'))).body?.getReader();
  if (url.startsWith('https')) expect((await reader!.read()).value).toEqual(Uint8Array.of(1));
  // A Response would be stored in the browser's cache.
  expect(response).not.toBeInstanceOf(Response);
});

test('a file that the model lacks is missing, and what lies elsewhere is fetched', async () => {
  serveRandomModel(env, 'random/a', model);
  expect((await get('/models/random/a/chat_template.jinja')).status).toBe(404);
  expect(await get('/models/random/ab/config.json')).toBe('fetched /models/random/ab/config.json');
  expect(await get('https://hub.example/other')).toBe('fetched https://hub.example/other');
});

test('a file is not made before it is read, nor if its stream is cancelled', async () => {
  serveRandomModel(env, 'random/a', model);
  const response = await get('/models/random/a/onnx/model_q4.onnx');
  await response.body!.cancel();
  expect(made).toBe(0);
  await response.arrayBuffer();
  expect(made).toBe(1);
});

test('it ends, also behind a later replacement of fetch', async () => {
  const before = env.fetch;
  const end = serveRandomModel(env, 'random/a', model);
  const ours = env.fetch;
  const later: HubEnvironment['fetch'] = (input, init) => ours(input, init);
  env.fetch = later;
  end();
  expect(env.fetch).toBe(later);
  expect(await get('/models/random/a/config.json')).toBe('fetched /models/random/a/config.json');
  env.fetch = before;
  serveRandomModel(env, 'random/a', model)();
  expect(env.fetch).toBe(before);
});
