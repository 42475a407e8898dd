import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';
import { ORT_MODULE, ORT_WASM } from '../lab/node/onnxruntime.ts';

const OUT = '.cache/bench';

/** Puts the runtime beside the bundle. So a machine without npm needs this one folder and a build of Dawn. */
const carryRuntime: Plugin = {
  name: 'carry-runtime',
  closeBundle() {
    const dist = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/webgpu'));
    mkdirSync(join(OUT, 'ort'), { recursive: true });
    copyFileSync(join(dist, ORT_MODULE), join(OUT, 'ort', ORT_MODULE));
    writeFileSync(join(OUT, 'ort', `${ORT_WASM}.gz`), gzipSync(readFileSync(join(dist, ORT_WASM))));
  },
};

// Each benchmark as a Node script: .cache/bench/run.mjs, sweep.mjs and so on.
export default defineConfig({
  plugins: [carryRuntime],
  ssr: { noExternal: true, external: ['webgpu', 'onnxruntime-web', 'vite', 'playwright'] },
  build: {
    ssr: true,
    outDir: OUT,
    emptyOutDir: false,
    target: 'node20',
    minify: false,
    rollupOptions: {
      input: {
        run: 'bench/run.ts',
        sweep: 'bench/sweep.ts',
        overhead: 'bench/overhead.ts',
        crossover: 'bench/crossover.ts',
        ab: 'bench/ab.ts',
        repeat: 'bench/repeat.ts',
        capture: 'bench/capture.ts',
      },
      output: { entryFileNames: '[name].mjs' },
    },
  },
});
