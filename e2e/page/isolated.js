// Plain JavaScript in a file of its own: the page that loads it lets no script stand in its text.
import '/dist/register.js';
import { enableSift } from '/dist/index.js';
import * as library from '/node_modules/@huggingface/transformers/dist/transformers.js';
import { decode } from './decode.js';

library.env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';

const globals = () => [
  ...Object.getOwnPropertyNames(self),
  ...Object.getOwnPropertySymbols(self).map(String),
];

async function run() {
  // First without sift, so that what the libraries leave behind is not taken for ours.
  const report = async () => /** @type {any} */ ({ crossover: [], layers: [], runtime: {} });
  const compare = async () => ({ firstDifference: null });
  await decode(library, async () => /** @type {any} */ ({ report, compare, dispose() {} }));
  const before = globals();
  const served = await decode(library, enableSift, false, 'auto');
  const left = globals().filter((name) => !before.includes(name));
  return { served, left, isolated: self.crossOriginIsolated, origin: self.origin };
}

const result = await run().catch(({ code, message, stack }) => ({ code, message, stack }));
Object.assign(self, { result });
parent.postMessage(result, '*');
