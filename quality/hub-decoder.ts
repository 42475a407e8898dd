import { Tensor, type TextGenerationPipeline } from '@huggingface/transformers';
import { promptChunk } from '../lab/narrow-subgroups.ts';
import type { HubPipeline, HubTensor } from '../src/adapters/transformers/runtime.ts';
import { presentName } from '../src/adapters/transformers/runtime.ts';
import type { ForcedDecoder } from './forced.ts';

const int64 = (values: BigInt64Array): HubTensor =>
  new Tensor('int64', values, [1, values.length]) as unknown as HubTensor;

/** Forced decoding through a transformers.js pipeline on the device that the runtime has. */
export function hubDecoder(generator: TextGenerationPipeline, device: GPUDevice): ForcedDecoder {
  const pipeline = generator as unknown as HubPipeline;
  const { model } = pipeline;
  const names = Object.values(model.sessions).flatMap(({ inputNames }) =>
    inputNames.filter((name) => name.startsWith('past_key_values')),
  );
  return {
    pipeline,
    chunk: promptChunk(device),
    inputs: (tokens, total) => ({
      input_ids: int64(BigInt64Array.from(tokens, BigInt)),
      attention_mask: int64(new BigInt64Array(total).fill(1n)),
    }),
    forward: (inputs) => model.forward(inputs),
    pastOf: (outputs, length) => {
      const past = Object.fromEntries(names.map((name) => [name, outputs[presentName(name)]!]));
      return Object.defineProperty(past, 'get_seq_length', { value: () => length });
    },
  };
}
