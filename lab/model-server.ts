import { createReadStream, statSync } from 'node:fs';
import { extname, join, normalize, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { Plugin, PreviewServer } from 'vite';

/** A file of a model, to be served. */
export interface ModelFile {
  bytes: number;
  read(): Readable;
}

/** Types of files that a browser takes only if they are named. */
const TYPES: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** Gives the file of a path: null if there is none, undefined if the path is not one of a model. */
type Find = (path: string) => ModelFile | null | undefined;

/** Has a server of Vite's serve files that are not where it looks for them. */
export function serveFiles({ middlewares }: Pick<PreviewServer, 'middlewares'>, find: Find): void {
  middlewares.use((request, response, next) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    const file = find(path);
    if (file === undefined) return next();
    if (file === null) {
      response.statusCode = 404;
      return void response.end();
    }
    response.setHeader('Content-Length', file.bytes);
    response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
    if (request.method === 'HEAD') return void response.end();
    file.read().pipe(response);
  });
}

/** Has Vite's server serve models that are not where it looks for files. */
export const modelServer = (find: Find): Plugin => ({
  name: 'model-server',
  configureServer: (server) => serveFiles(server, find),
});

/** A file out of memory. */
export const fileInMemory = (contents: Uint8Array): ModelFile => ({
  bytes: contents.length,
  read: () => Readable.from([contents], { objectMode: false }),
});

/** A file of a folder, or null if there is none; nothing outside the folder is given out. */
export function fileInFolder(folder: string, path: string): ModelFile | null {
  const root = resolve(folder);
  const file = normalize(join(root, path));
  const stats = file.startsWith(root) ? statSync(file, { throwIfNoEntry: false }) : undefined;
  return stats?.isFile() ? { bytes: stats.size, read: () => createReadStream(file) } : null;
}
