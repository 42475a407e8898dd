import { defineConfig } from 'vite';

// Library build: plain ES modules with the WGSL inlined. The runtimes stay outside (peer dependencies).
export default defineConfig({
  build: {
    target: 'es2022',
    sourcemap: true,
    minify: false,
    lib: { entry: { index: 'src/index.ts', register: 'src/register.ts' }, formats: ['es'] },
    rollupOptions: {
      external: [/^@huggingface\//, /^onnxruntime-/, /^@mlc-ai\//],
      output: { chunkFileNames: '[name].js' },
    },
  },
});
