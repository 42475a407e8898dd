import { defineConfig } from 'vite';

// Builds one Node script, for machines without a package manager. What only the browser needs is loaded when a browser is.
export default defineConfig({
  build: {
    ssr: 'quality/run.ts',
    outDir: '.cache/quality',
    emptyOutDir: false,
    target: 'node20',
    rollupOptions: {
      external: [/^@huggingface\/transformers/, /^onnxruntime-/, 'playwright', 'vite', 'echarts'],
      output: { entryFileNames: 'run.mjs' },
    },
  },
  ssr: { noExternal: true, external: ['@huggingface/transformers', 'playwright', 'vite', 'echarts'] },
});
