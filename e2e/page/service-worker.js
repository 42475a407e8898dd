// Bundled into one file by the test, as an extension's service worker is: nothing can be imported later there.
import * as library from '@huggingface/transformers';
import { enableSift } from 'sift-attention';
import { decode } from './decode.js';

const { wasm } = library.env.backends.onnx;
wasm.wasmPaths = { wasm: '/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm' };
wasm.numThreads = 1;
self.addEventListener('message', (event) => {
  const answer = decode(library, enableSift).catch(String);
  event.waitUntil(answer.then((result) => event.source.postMessage(result)));
});
