// What the end-to-end tests call in the browser: the real transformers.js, the real model, the real plugin.
import { env, pipeline, Tensor, type TextGenerationPipeline } from '@huggingface/transformers';
import { enableSift, SiftError } from '../../src/index.ts';
import { decodeForced, type ForcedDecode } from './forced.ts';

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = '/models/';
env.backends.onnx.wasm!.wasmPaths = '/node_modules/onnxruntime-web/dist/';

const api = {
  env,
  enableSift,
  Tensor,
  decodeForced,
  load: (options: object = {}): Promise<TextGenerationPipeline> =>
    pipeline('text-generation', 'tiny', {
      device: 'webgpu',
      dtype: 'q4',
      ...options,
    }) as Promise<TextGenerationPipeline>,
  /** Token ids of a text. */
  encode: (generator: TextGenerationPipeline, text: string): number[] =>
    Array.from((generator.tokenizer(text).input_ids as Tensor).data as BigInt64Array, Number),
  /** Greedy generation; the new tokens. */
  generate: async (generator: TextGenerationPipeline, ids: number[], count: number): Promise<number[]> => {
    const input = (value: (i: number) => number) =>
      new Tensor(
        'int64',
        BigInt64Array.from(ids, (_, i) => BigInt(value(i))),
        [1, ids.length],
      );
    const output = (await generator.model.generate({
      inputs: input((i) => ids[i]!),
      attention_mask: input(() => 1),
      max_new_tokens: count,
      do_sample: false,
      // The tests compare a given number of tokens, also past the end of a text.
      eos_token_id: -1,
    } as never)) as Tensor;
    return Array.from(output.data as BigInt64Array, Number).slice(ids.length);
  },
  /** Runs something that must fail; what the SiftError says. */
  failure: async (run: () => unknown): Promise<{ code: string; message: string }> => {
    try {
      await run();
    } catch (error) {
      if (error instanceof SiftError) return { code: error.code, message: error.message };
      throw error;
    }
    throw new Error('It did not fail.');
  },
};

export type TestApi = typeof api;
export type { ForcedDecode };

declare global {
  interface Window {
    sift: TestApi;
  }
}
window.sift = api;
