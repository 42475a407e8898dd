import { defineConfig } from 'vite';

// Library build: one plain ES module with the WGSL inlined. The runtimes stay outside (peer dependencies).
export default defineConfig({
  build: {
    target: 'es2022',
    sourcemap: true,
    minify: false,
    lib: { entry: 'src/index.ts', formats: ['es'], fileName: 'index' },
    rollupOptions: { external: [/^@huggingface\//, /^onnxruntime-/, /^@mlc-ai\//] },
  },
});
