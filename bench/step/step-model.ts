import type { DecoderConfig } from '../../lab/decoding/session-decoder.ts';
import type { AttentionShape } from '../../src/kernel/shape.ts';
import { createRandom } from '../../src/oracle/index.ts';
import { buildLlama } from '../../tools/models/llama.ts';
import type { Tensor } from '../../tools/models/safetensors.ts';

/** A decoder with weights drawn at random. Its steps take as long as a trained one's. */
export interface StepModel {
  layers: number;
  hidden: number;
  inner: number;
  /** Positions that the rotary tables cover. */
  positions: number;
  shape: AttentionShape;
}

const VOCABULARY = 8192;

/** The model as an ONNX file, with its config. */
export function syntheticDecoder(model: StepModel): { bytes: Uint8Array; config: DecoderConfig } {
  const { layers, hidden, inner, positions } = model;
  const { queryHeads, kvHeads, headSize, dtype } = model.shape;
  const config = {
    vocab_size: VOCABULARY,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: queryHeads,
    num_key_value_heads: kvHeads,
    head_dim: headSize,
    intermediate_size: inner,
    rope_theta: 100000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    max_position_embeddings: positions,
  };
  // All matrices are stretches of one table, so that numbers are drawn only once. What a matrix holds does not matter.
  const table = createRandom(4).normals(Math.max(inner, VOCABULARY) * hidden, 0.02);
  const weights = new Map<string, Tensor>();
  const matrix = (name: string, out: number, columns: number) =>
    weights.set(name, { shape: [out, columns], data: table.subarray(0, out * columns) });
  const ones = (name: string) =>
    weights.set(name, { shape: [hidden], data: new Float32Array(hidden).fill(1) });
  matrix('emb.weight', VOCABULARY, hidden);
  ones('nf.weight');
  for (let i = 0; i < layers; i++) {
    const block = `blocks.${i}`;
    ones(`${block}.n1.weight`);
    ones(`${block}.n2.weight`);
    matrix(`${block}.q.weight`, queryHeads * headSize, hidden);
    matrix(`${block}.k.weight`, kvHeads * headSize, hidden);
    matrix(`${block}.v.weight`, kvHeads * headSize, hidden);
    matrix(`${block}.o.weight`, hidden, queryHeads * headSize);
    matrix(`${block}.g.weight`, inner, hidden);
    matrix(`${block}.u.weight`, inner, hidden);
    matrix(`${block}.d.weight`, hidden, inner);
  }
  return { bytes: buildLlama(config, weights, { dtype: dtype === 'f16' ? 'fp16' : 'fp32' }), config };
}
