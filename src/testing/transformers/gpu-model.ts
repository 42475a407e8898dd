/// <reference types="node" />
import { createRequire } from 'node:module';
import { LlamaForCausalLM, type Tensor } from '@huggingface/transformers';
import type { TensorClass } from '../../adapters/transformers/kv/views.ts';
import type { HubModel } from '../../adapters/transformers/runtime.ts';
import { GpuSession, type GpuSessionOptions, VOCABULARY } from './gpu-session.ts';
import { int64 } from './library-model.ts';

/** A real model of transformers.js on a {@link GpuSession}. */
export interface GpuModel {
  model: HubModel;
  session: GpuSession;
  /** Generates greedily; the new tokens. */
  generate(prompt: readonly number[], count: number): Promise<number[]>;
  /** Two turns, the second on the kept cache of the first; the new tokens of both. */
  converse(prompt: readonly number[], further: readonly number[], count: number): Promise<number[]>;
}

/** Some tokens of a prompt. */
export const promptOf = (length: number): number[] =>
  Array.from({ length }, (_, i) => (i * 7 + (i >> 2)) % VOCABULARY);

/** Loads a model of the library on a session of ours. */
export function gpuModel(device: GPUDevice, options: GpuSessionOptions): GpuModel {
  const { queryHeads, kvHeads, headSize } = options.shape;
  // The class that the library knows as its runtime's in Node, which has another for the inputs.
  const runtime = createRequire(import.meta.url)('onnxruntime-common') as { Tensor: TensorClass };
  const session = new GpuSession(device, options, runtime.Tensor);
  const config = {
    ...{ model_type: 'llama', is_encoder_decoder: false, vocab_size: VOCABULARY },
    ...{ num_hidden_layers: options.layers, num_attention_heads: queryHeads, num_key_value_heads: kvHeads },
    ...{ hidden_size: queryHeads * headSize, head_dim: headSize, max_position_embeddings: 4096 },
  };
  const Model = LlamaForCausalLM as unknown as new (...args: unknown[]) => HubModel;
  const model = new Model(config, { model: session }, {});
  const turn = async (prompt: readonly number[], count: number, kept?: unknown) => {
    const { sequences, past_key_values } = (await model.generate({
      inputs: int64([prompt]),
      attention_mask: int64([prompt.map(() => 1)]),
      max_new_tokens: count,
      do_sample: false,
      return_dict_in_generate: true,
      ...(kept ? { past_key_values: kept } : {}),
    })) as { sequences: Tensor; past_key_values: { dispose(): Promise<void> } };
    const tokens = (sequences.tolist() as bigint[][])[0]!.map(Number);
    return { tokens, past: past_key_values };
  };
  const generate = async (prompt: readonly number[], count: number) => {
    const { tokens, past } = await turn(prompt, count);
    await past.dispose();
    return tokens.slice(prompt.length);
  };
  const converse = async (prompt: readonly number[], further: readonly number[], count: number) => {
    const first = await turn(prompt, count);
    const whole = [...first.tokens, ...further];
    const second = await turn(whole, count, first.past).catch(async (error: unknown) => {
      await first.past.dispose();
      throw error;
    });
    await second.past.dispose();
    return [...first.tokens.slice(prompt.length), ...second.tokens.slice(whole.length)];
  };
  return { model, session, generate, converse };
}
