import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const root = fileURLToPath(new URL('.', import.meta.url));
const repository = join(root, '../..');
const model = join(repository, 'models/tiny');
const URL_PREFIX = '/models/tiny/';

/** Serves the embedded model under models/tiny, and copies it there when the page is built. */
function embeddedModel(): Plugin {
  return {
    name: 'embedded-model',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
        if (!path.startsWith(URL_PREFIX)) return next();
        const file = normalize(join(model, path.slice(URL_PREFIX.length)));
        const stats = file.startsWith(model) ? statSync(file, { throwIfNoEntry: false }) : undefined;
        if (!stats?.isFile()) {
          response.statusCode = 404;
          response.end();
          return;
        }
        response.setHeader('Content-Length', stats.size);
        response.setHeader(
          'Content-Type',
          file.endsWith('.json') ? 'application/json' : 'application/octet-stream',
        );
        response.setHeader('Cache-Control', 'no-cache');
        if (request.method === 'HEAD') response.end();
        else createReadStream(file).pipe(response);
      });
    },
    generateBundle() {
      for (const entry of readdirSync(model, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const file = join(entry.parentPath, entry.name);
        const fileName = `models/tiny/${file.slice(model.length + 1).replaceAll('\\', '/')}`;
        this.emitFile({ type: 'asset', fileName, source: readFileSync(file) });
      }
    },
  };
}

export default defineConfig({
  root,
  base: './', // the built page works from any folder of any static server
  appType: 'mpa', // a missing file is a 404, never index.html
  cacheDir: join(repository, '.cache/vite-demo'),
  plugins: [embeddedModel()],
  server: { fs: { allow: [repository] } },
  optimizeDeps: {
    include: ['@huggingface/transformers', 'uplot', 'pdfjs-dist'],
    exclude: ['onnxruntime-web'],
  },
  build: {
    target: 'es2022',
    outDir: join(repository, '.cache/demo-site'),
    emptyOutDir: true,
    chunkSizeWarningLimit: 2000,
  },
});
