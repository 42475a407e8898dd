// Files as any static server gives them out: no bundler, no module resolution.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, normalize } from 'node:path';
import { Readable } from 'node:stream';
import { fileInFolder, fileInMemory } from '../lab/model-server.ts';
import { ROOT } from '../lab/root.ts';
import type { Models } from './browser.ts';

const TYPES: Record<string, string> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.html': 'text/html',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.pdf': 'application/pdf',
};

/** A running static server. */
export interface PlainSite {
  /** Ends in a slash. */
  url: string;
  close(): void;
}

/**
 * Serves the files of the repository as they are.
 * @param texts further files by path, such as `index.html`
 * @param models served under /models, beside those of the repository
 * @param headers that every answer has, such as those with which a CDN lets other sites have its files
 */
export async function servePlain(
  texts: Record<string, string>,
  models: Models = {},
  headers: Record<string, string> = {},
): Promise<PlainSite> {
  const find = (path: string) => {
    const text = texts[path];
    if (text !== undefined) return fileInMemory(new TextEncoder().encode(text));
    const [folder, name = '', ...rest] = path.split('/');
    const model = folder === 'models' ? models[name] : undefined;
    if (!model) return fileInFolder(ROOT, path);
    const file = model[rest.join('/')];
    return file ? fileInMemory(file) : null;
  };
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const path = normalize(decodeURIComponent(pathname)).slice(1) || 'index.html';
    const file = find(path);
    if (!file) return response.writeHead(404).end();
    response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
    response.setHeader('content-length', file.bytes);
    return Readable.from(file.read()).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => void server.close(),
  };
}
