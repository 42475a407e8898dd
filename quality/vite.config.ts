import { defineConfig } from 'vite';

// One Node script: the GPU machine has no package manager.
export default defineConfig({
  build: {
    ssr: 'quality/run.ts',
    outDir: '.cache/quality',
    emptyOutDir: false,
    target: 'node20',
    rollupOptions: { external: [/^@huggingface\//, /^onnxruntime-/], output: { entryFileNames: 'run.mjs' } },
  },
  ssr: { noExternal: true, external: ['@huggingface/transformers'] },
});
