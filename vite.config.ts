import { defineConfig } from 'vite';
import { ENTRIES } from './tools/package/entries.ts';
import { strippedComments } from './tools/package/strip-comments.ts';
import { strippedWgsl } from './tools/package/strip-wgsl.ts';

/**
 * What several entries share, by purpose: few files, whose names say what they are. A group takes along what its modules import, so that
 * those on which others rest come first.
 */
const CHUNKS = [
  { name: 'register', test: /src\/adapters\/(transformers\/program-notes|shared\/interception)/ },
  { name: 'other-kernels', test: /src\/kernel\/text\/later-texts/ },
  { name: 'attention', test: /src\/kernel\/(?!calibration|sift-attention|step\/(noting|read-bits)|.*paged)/ },
  { name: 'attention-on-buffers', test: /src\/kernel\/sift-attention/ },
  {
    name: 'adapters',
    test: /src\/(adapters\/shared\/(?!comparing|logits|summary)|kernel\/calibration|enabling|options)/,
  },
  {
    name: 'transformers',
    test: /src\/adapters\/transformers\/(?!compare|explanations|greedy|prompt|inspection)/,
  },
  { name: 'web-llm-target', test: /src\/adapters\/web-llm\/target/ },
  { name: 'web-llm-engine', test: /src\/adapters\/web-llm\/engine/ },
  { name: 'web-llm', test: /src\/adapters\/web-llm/ },
  { name: 'summary', test: /src\/adapters\/shared\/summary/ },
  { name: 'comparing', test: /src\/adapters\/shared\/(comparing|logits)/ },
  { name: 'compare', test: /src\/adapters\/transformers/ },
];

// Library build: minified ES modules with the WGSL inlined. The runtimes stay outside (peer dependencies).
export default defineConfig({
  plugins: [strippedWgsl(), strippedComments()],
  build: {
    target: 'es2022',
    sourcemap: true,
    lib: {
      entry: Object.fromEntries(ENTRIES.map((name) => [name, `src/${name}.ts`])),
      formats: ['es'],
    },
    rolldownOptions: {
      external: [/^@huggingface\//, /^onnxruntime-/, /^@mlc-ai\//],
      // A constant that is inlined would have its text several times.
      optimization: { inlineConst: false },
      output: { chunkFileNames: 'chunks/[name].js', minify: true, codeSplitting: { groups: CHUNKS } },
    },
  },
});
