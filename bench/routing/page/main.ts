// The page of the routing benchmark: the same measurement as in Node, in a browser.
import * as ort from 'onnxruntime-web/webgpu';
import type { OrtModule } from '../../../lab/node/onnxruntime.ts';
import { measureRouting, type RoutingFigures, type RoutingVariant } from '../measure.ts';

ort.env.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
ort.env.wasm.numThreads = 1;

declare global {
  interface Window {
    /** Measures with the model at /routing-model.onnx. */
    measure(
      config: object,
      options: { steps: number; variants: readonly RoutingVariant[] },
    ): Promise<RoutingFigures[]>;
  }
}

window.measure = async (config, options) => {
  const bytes = new Uint8Array(await (await fetch('/routing-model.onnx')).arrayBuffer());
  const model = { bytes, config: config as never };
  return measureRouting(ort as OrtModule, model, {
    ...options,
    log: (text) => console.log(text),
  });
};
