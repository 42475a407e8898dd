import { env, Tensor, type TextGenerationPipeline } from '@huggingface/transformers';
import { type HubModel, type HubTensor, presentName } from '../../src/adapters/transformers/runtime.ts';
import type { Decoder } from './decoder.ts';

/**
 * Has transformers.js take models from a folder of the page's server alone, and the runtime from the installed package.
 *
 * @param path - the folder on the server, with a slash at its end
 */
export function useServedModels(path: string): void {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = path;
  env.backends.onnx.wasm!.wasmPaths = '/node_modules/onnxruntime-web/dist/';
}

const int64 = (values: BigInt64Array): HubTensor =>
  new Tensor('int64', values, [1, values.length]) as unknown as HubTensor;

/**
 * Decodes through a transformers.js pipeline.
 *
 * @param chunk - tokens that a prompt may have at once
 */
export function hubDecoder(generator: TextGenerationPipeline, chunk = Number.POSITIVE_INFINITY): Decoder {
  const model = generator.model as unknown as HubModel;
  const names = Object.values(model.sessions).flatMap(({ inputNames }) =>
    inputNames.filter((name) => name.startsWith('past_key_values')),
  );
  return {
    model,
    chunk,
    inputs: (tokens, total) => ({
      input_ids: int64(BigInt64Array.from(tokens, BigInt)),
      attention_mask: int64(new BigInt64Array(total).fill(1n)),
    }),
    forward: (inputs) => model.forward(inputs),
    pastOf: (outputs, length) => {
      const past = Object.fromEntries(names.map((name) => [name, outputs[presentName(name)]!]));
      // transformers.js asks a past for its length; a property that can be listed would be taken for a tensor.
      return Object.defineProperty(past, 'get_seq_length', { value: () => length });
    },
  };
}
