import { defineConfig } from 'vite';

// One Node script: the GPU machine has no package manager. What only the browser needs is loaded when it is.
export default defineConfig({
  build: {
    ssr: 'quality/run.ts',
    outDir: '.cache/quality',
    emptyOutDir: false,
    target: 'node20',
    rollupOptions: {
      external: [/^@huggingface\/transformers/, /^onnxruntime-/, 'playwright', 'vite'],
      output: { entryFileNames: 'run.mjs' },
    },
  },
  ssr: { noExternal: true, external: ['@huggingface/transformers', 'playwright', 'vite'] },
});
