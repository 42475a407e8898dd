// The evaluator in a page: the real transformers.js, the real model, the real plugin. Driven from Node (quality/evaluation/browser.ts).
import { env, pipeline, type Tensor, type TextGenerationPipeline } from '@huggingface/transformers';
import { runtimeDevice } from '../../../lab/decoding/decoder.ts';
import { hubDecoder, useServedModels } from '../../../lab/decoding/hub-decoder.ts';
import { promptChunk } from '../../../lab/narrow-subgroups.ts';
import { DecoderEvaluator, type Evaluator, type ModelFacts } from '../evaluator.ts';

export interface ModelAddress {
  /** A model of the hub, or null for the folder that the page's server has under /quality-model/. */
  hubId: string | null;
  dtype: string;
}

declare global {
  interface Window {
    openEvaluator(model: ModelAddress): Promise<void>;
    evaluator: Evaluator;
    /** Node exposes it, to hear how far a measurement is. */
    qualityProgress?(message: string): void;
  }
}

window.openEvaluator = async ({ hubId, dtype }) => {
  useServedModels('/');
  if (hubId !== null) {
    env.allowRemoteModels = true;
    env.allowLocalModels = false;
  }
  const generator = (await pipeline('text-generation', hubId ?? 'quality-model', {
    device: 'webgpu',
    dtype: dtype as 'q4',
  })) as TextGenerationPipeline;
  const device = await runtimeDevice(env.backends.onnx);
  const decoder = hubDecoder(generator, promptChunk(device));
  const config = generator.model.config as unknown as ModelFacts;
  const tokenise = (text: string): number[] =>
    Array.from((generator.tokenizer(text, { add_special_tokens: false }).input_ids as Tensor).data, Number);
  window.evaluator = await DecoderEvaluator.create(decoder, device, tokenise, config, (message) =>
    window.qualityProgress?.(message),
  );
};
