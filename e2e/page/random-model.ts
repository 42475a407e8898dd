// A model with random weights, made in the page and loaded by transformers.js as if it were on the hub.
import { env, pipeline, type TextGenerationPipeline } from '@huggingface/transformers';
import { hideNarrowSubgroups } from '../../lab/narrow-subgroups.ts';
import { type RandomModelOptions, randomModel, serveRandomModel } from '../../lab/random-model/index.ts';

hideNarrowSubgroups();
env.backends.onnx.wasm!.wasmPaths = '/node_modules/onnxruntime-web/dist/';

const NAME = 'random/small';

const api = {
  /** Whether transformers.js has the browser's cache at hand. */
  usesBrowserCache: (): boolean => env.useBrowserCache,
  /** Loads a small model and generates; the text, and what the library put into the browser's cache. */
  generate: async (
    options: Pick<RandomModelOptions, 'positions'>,
    prompt: string,
    count: number,
    progress = false,
  ): Promise<{ text: string; loaded: number; cached: string[] }> => {
    const tokenizer = await (await fetch('/models/tiny/tokenizer.json')).text();
    const end = serveRandomModel(env, NAME, randomModel('small', { dtype: 'q4', tokenizer, ...options }));
    try {
      let loaded = 0;
      const note = (event: { status: string; file?: string; loaded?: number }) => {
        if (event.status === 'progress' && event.file?.endsWith('_data')) loaded = event.loaded!;
      };
      const generator = (await pipeline('text-generation', NAME, {
        device: 'webgpu',
        dtype: 'q4',
        ...(progress && { progress_callback: note }),
      } as never)) as TextGenerationPipeline;
      const output = await generator(prompt, { max_new_tokens: count, do_sample: false });
      await generator.dispose();
      const cache = await caches.open(env.cacheKey);
      const cached = (await cache.keys()).map(({ url }) => url);
      return { text: (output as { generated_text: string }[])[0]!.generated_text, loaded, cached };
    } finally {
      end();
    }
  },
  /** Whether a file of the model is still found. */
  find: async (): Promise<number> =>
    ((await env.fetch(`${env.localModelPath}${NAME}/config.json`)) as Response).status,
};

export type RandomModelApi = typeof api;

declare global {
  interface Window {
    randomModel: RandomModelApi;
  }
}
window.randomModel = api;
