// Runs in the browser: what browser.ts calls there, as window.converted.
import { env, pipeline } from '@huggingface/transformers';
import { useServedModels } from '../../lab/decoding/hub-decoder.ts';
import { hideNarrowSubgroups } from '../../lab/narrow-subgroups.ts';
import type { Dtype } from './llama.ts';
import { type Device, loadModel, type MeasureOptions, type Measures, measure } from './measure.ts';

/** A model by its folder's place under the repository's root. */
export interface PageModel {
  readonly path: string;
  readonly name: string;
  readonly dtype: Dtype;
  readonly device: Device;
}

export interface PageApi {
  /** Vendor and architecture of the WebGPU adapter; '' without one. */
  adapter(): Promise<string>;
  measure(model: PageModel, text: string, options: MeasureOptions): Promise<Measures>;
  generate(model: PageModel, prompt: string, newTokens: number): Promise<string>;
}

declare global {
  interface Window {
    converted?: PageApi;
  }
}

function configure(path: string): void {
  useServedModels(path);
  env.useBrowserCache = false;
  const runtime = '/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify';
  env.backends.onnx.wasm!.wasmPaths = { mjs: `${runtime}.mjs`, wasm: `${runtime}.wasm` };
}

hideNarrowSubgroups();

window.converted = {
  async adapter() {
    const info = (await navigator.gpu?.requestAdapter())?.info;
    return info ? `${info.vendor} ${info.architecture}` : '';
  },

  async measure({ path, name, dtype, device }, text, options) {
    configure(path);
    const loaded = await loadModel(name, dtype, device);
    try {
      return await measure(loaded, text, options);
    } finally {
      await loaded.model.dispose();
    }
  },

  async generate({ path, name, dtype, device }, prompt, newTokens) {
    configure(path);
    const generator = await pipeline('text-generation', name, { dtype, device });
    try {
      const options = { max_new_tokens: newTokens, do_sample: false, return_full_text: false };
      const [first] = (await generator(prompt, options)) as { generated_text: string }[];
      return first!.generated_text;
    } finally {
      await generator.dispose();
    }
  },
};
