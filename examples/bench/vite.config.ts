import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const root = fileURLToPath(new URL('.', import.meta.url));
const repository = join(root, '../..');
const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));

/** Shared memory, without which the runtime has one thread, is there only for pages that are isolated from others. */
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  root,
  base: './', // the built page works from any folder of any static server
  appType: 'mpa', // a missing file is a 404, never index.html
  cacheDir: join(repository, '.cache/vite-bench'),
  define: { SIFT_VERSION: JSON.stringify(version) },
  server: { headers: ISOLATED, fs: { allow: [repository] } },
  preview: { headers: ISOLATED },
  optimizeDeps: {
    include: ['@huggingface/transformers', 'uplot', 'onnx-proto'],
    exclude: ['onnxruntime-web'],
  },
  build: {
    target: 'es2022',
    outDir: join(repository, '.cache/bench-site'),
    emptyOutDir: true,
    chunkSizeWarningLimit: 2000,
  },
});
