import { packFloat16 } from '../../src/kernel/gpu/float16.ts';
import type { ModelConfig } from './llama.ts';
import type { Tensor } from './safetensors.ts';

// A made-up model for the converter's tests: every dimension differs where it can, and converting it is quick.

/** Its config, with the given fields changed. */
export function fixtureConfig(changes: Partial<ModelConfig> = {}): ModelConfig {
  return {
    vocab_size: 96,
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    intermediate_size: 96,
    rope_theta: 100000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    max_position_embeddings: 128,
    ...changes,
  };
}

/** Its weights: sines of their indices, of a size that keeps activations near 1. */
export function fixtureWeights(config: ModelConfig): Map<string, Tensor> {
  const { hidden_size: hidden, intermediate_size: inner, head_dim: size } = config;
  const queries = config.num_attention_heads * size;
  const keys = config.num_key_value_heads * size;
  const shapes: Record<string, number[]> = {
    'emb.weight': [config.vocab_size, hidden],
    'nf.weight': [hidden],
  };
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const block: Record<string, number[]> = {
      n1: [hidden],
      n2: [hidden],
      q: [queries, hidden],
      k: [keys, hidden],
      v: [keys, hidden],
      o: [hidden, queries],
      g: [inner, hidden],
      u: [inner, hidden],
      d: [hidden, inner],
    };
    for (const [name, shape] of Object.entries(block)) shapes[`blocks.${i}.${name}.weight`] = shape;
  }
  return new Map(
    Object.entries(shapes).map(([name, shape]) => {
      const length = shape.reduce((a, b) => a * b, 1);
      return [name, { shape, data: Float32Array.from({ length }, (_, i) => Math.sin(i)) }];
    }),
  );
}

/** A safetensors file of the given header and data. */
export function safetensorsFile(header: object, data: ArrayBufferView): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 8 + json.length);
  return bytes;
}

/** Tensors as one f16 safetensors file. */
export function encodeSafetensors(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const header: Record<string, object> = {};
  const all: number[] = [];
  for (const [name, { shape, data }] of tensors) {
    const start = all.length * 2;
    for (const bits of packFloat16(data)) all.push(bits);
    header[name] = { dtype: 'F16', shape, data_offsets: [start, all.length * 2] };
  }
  return safetensorsFile(header, Uint16Array.from(all));
}
