import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { fileInFolder, fileInMemory, modelServer } from './model-server.ts';

type Middleware = (request: unknown, response: unknown, next: () => void) => void;

let server: Server;
afterEach(() => server.close());

/** Serves by the plugin alone; what it passes on is answered with 299. */
async function serve(find: Parameters<typeof modelServer>[0]): Promise<string> {
  let middleware: Middleware | undefined;
  const vite = {
    middlewares: {
      use: (given: Middleware) => {
        middleware = given;
      },
    },
  };
  (modelServer(find).configureServer as (server: unknown) => void)(vite);
  server = createServer((request, response) =>
    middleware!(request, response, () => response.writeHead(299).end()),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('files of a folder and of memory are served whole; others are missing or not its own', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sift-models-'));
  try {
    writeFileSync(join(folder, 'config.json'), '{"a":1}');
    const base = await serve((path) => {
      if (path === '/memory/empty') return fileInMemory(new Uint8Array(0));
      if (path.startsWith('/memory/')) return fileInMemory(new Uint8Array(100_000).fill(7));
      return path.startsWith('/model/') ? fileInFolder(folder, path.slice('/model/'.length)) : undefined;
    });
    const config = await fetch(`${base}/model/config.json`);
    expect([config.headers.get('content-type'), await config.text()]).toEqual([
      'application/json',
      '{"a":1}',
    ]);
    const bytes = new Uint8Array(await (await fetch(`${base}/memory/model.onnx`)).arrayBuffer());
    expect(bytes.length).toBe(100_000);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
    expect(await (await fetch(`${base}/memory/empty`)).text()).toBe('');
    const head = await fetch(`${base}/memory/model.onnx`, { method: 'HEAD' });
    expect([head.headers.get('content-length'), await head.text()]).toEqual(['100000', '']);
    for (const missing of ['tokenizer.json', '', '..%2fout']) {
      expect((await fetch(`${base}/model/${missing}`)).status).toBe(404);
    }
    expect((await fetch(`${base}/index.html`)).status).toBe(299);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
