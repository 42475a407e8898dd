import { createReadStream, statSync } from 'node:fs';
import { extname, join, normalize, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { Plugin } from 'vite';

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

/**
 * Has Vite's server serve models that are not where it looks for files.
 *
 * @param find - gives the file of a path: null if there is none, undefined if the path is not one of a model
 */
export const modelServer = (find: (path: string) => ModelFile | null | undefined): Plugin => ({
  name: 'model-server',
  configureServer(server) {
    server.middlewares.use((request, response, next) => {
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
  },
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
