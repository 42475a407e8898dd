import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const root = fileURLToPath(new URL('.', import.meta.url));

/** The folder of the embedded model, as transformers.js reads it. It is the repository's, unless SIFT_MODEL names another. */
const model = process.env.SIFT_MODEL ?? join(root, '../../models/tiny');

/** Copies the embedded model into the extension, so that the extension works without a network. */
function embeddedModel(): Plugin {
  let folder: string;
  return {
    name: 'embedded-model',
    configResolved: ({ root, build }) => {
      folder = join(root, build.outDir, 'models/tiny');
    },
    closeBundle() {
      if (!existsSync(model)) throw new Error(`There is no model to embed at ${model}.`);
      cpSync(model, folder, { recursive: true });
    },
  };
}

/**
 * transformers.js names a CDN from which it would load its runtime if it were not told where that lies. The extension's store rejects
 * what can load remote code, and so the address is taken out.
 */
const noRemoteCode: Plugin = {
  name: 'no-remote-code',
  transform(code) {
    if (!code.includes('https://cdn.jsdelivr.net/')) return null;
    return { code: code.replaceAll('https://cdn.jsdelivr.net/', '/'), map: null };
  },
};

export default defineConfig({
  root,
  base: './',
  plugins: [noRemoteCode, embeddedModel()],
  worker: { format: 'es', plugins: () => [noRemoteCode] },
  build: {
    target: 'chrome124',
    modulePreload: false,
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      input: {
        panel: join(root, 'panel.html'),
        offscreen: join(root, 'offscreen.html'),
        'service-worker': join(root, 'src/service-worker.ts'),
      },
      output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', assetFileNames: '[name][extname]' },
    },
  },
});
