import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './', // the built page works in any folder of a static server
  build: { target: 'es2022', chunkSizeWarningLimit: 8000 },
});
