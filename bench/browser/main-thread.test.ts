import { expect, test } from 'vitest';
import { ownerOf, summarise } from './main-thread.ts';

const frame = (functionName: string, url: string) => ({ functionName, url });

test('a function belongs to whose file it is in', () => {
  expect(ownerOf(frame('(idle)', ''))).toBe('idle');
  expect(ownerOf(frame('f', 'wasm://wasm/00aa'))).toBe("the runtime's WebAssembly");
  expect(ownerOf(frame('run', 'http://h/node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs'))).toBe(
    "the runtime's JavaScript",
  );
  expect(ownerOf(frame('cat', 'http://h/@fs/.cache/deps/@huggingface_transformers.js'))).toBe(
    'transformers.js',
  );
  expect(ownerOf(frame('run', 'http://h/@fs/r/src/adapters/transformers/pass-hook.ts'))).toBe('the plugin');
  expect(ownerOf(frame('put', 'http://h/examples/bench/src/measure/run.ts'))).toBe('the benchmark');
  expect(ownerOf(frame('createBindGroup', ''))).toBe("the browser's WebGPU and other methods");
});

test('a sample stands for the time until the next', () => {
  const nodes = [
    { id: 1, callFrame: frame('(idle)', '') },
    { id: 2, callFrame: frame('f', 'wasm://wasm/1') },
  ];
  const profile = { nodes, samples: [1, 2, 1], timeDeltas: [0, 2000, 3000] };
  expect(summarise(profile, 2)).toEqual({ idle: 1, "the runtime's WebAssembly": 1.5 });
});
