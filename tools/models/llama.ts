import { DataType, type FloatType, MICROSOFT, OnnxGraph } from '../../lab/onnx-graph.ts';
import type { Compensation } from './compensation.ts';
import { WeightNodes } from './llama-weights.ts';
import type { Tensor } from './safetensors.ts';

/** The fields of the trained models' config.json. */
export interface ModelConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly intermediate_size: number;
  readonly rope_theta: number;
  readonly rms_norm_eps: number;
  readonly tie_word_embeddings: boolean;
  readonly max_position_embeddings: number;
}

/** The variants, named as transformers.js names its `dtype` option. */
export const DTYPES = ['fp32', 'fp16', 'q4', 'q4f16'] as const;
export type Dtype = (typeof DTYPES)[number];

export interface GraphOptions {
  readonly dtype: Dtype;
  /** Adds the input `num_logits_to_keep` (0: all), which spares long prompts the logits nobody reads. */
  readonly numLogitsToKeep?: boolean;
  /** For q4 and q4f16: what a calibration gave. */
  readonly compensations?: ReadonlyMap<string, Compensation>;
}

/** Two names of a graph's values that all layers share. */
interface Lengths {
  readonly seqlens: string;
  readonly total: string;
}
interface Rotary {
  readonly cos: string;
  readonly sin: string;
}

/**
 * Builds and encodes the ONNX graph of a Llama with GroupQueryAttention. Inputs, outputs, operators and node
 * names are those of the hub's llama exports, which have no `position_ids`: the operator rotates by itself.
 */
export function buildLlama(
  config: ModelConfig,
  weights: ReadonlyMap<string, Tensor>,
  options: GraphOptions,
): Uint8Array {
  return new LlamaBuilder(config, weights, options).build();
}

class LlamaBuilder {
  private readonly graph = new OnnxGraph('main_graph');
  private readonly config: ModelConfig;
  private readonly options: GraphOptions;
  private readonly float: FloatType;
  private readonly weights: WeightNodes;

  constructor(config: ModelConfig, weights: ReadonlyMap<string, Tensor>, options: GraphOptions) {
    if (!config.tie_word_embeddings) throw new Error('Only tied embeddings are converted');
    this.config = config;
    this.options = options;
    const { dtype, compensations } = options;
    this.float = dtype === 'fp32' || dtype === 'q4' ? DataType.FLOAT : DataType.FLOAT16;
    const quantised = dtype === 'q4' || dtype === 'q4f16';
    const format = { float: this.float, quantised, ...(compensations ? { compensations } : {}) };
    this.weights = new WeightNodes(this.graph, weights, format);
  }

  build(): Uint8Array {
    const { graph, config } = this;
    const ids = graph.input('input_ids', DataType.INT64, ['batch_size', 'sequence_length']);
    graph.input('attention_mask', DataType.INT64, ['batch_size', 'total_sequence_length']);
    if (this.options.numLogitsToKeep) graph.input('num_logits_to_keep', DataType.INT64, []);
    const kept = this.options.numLogitsToKeep ? 'num_logits' : 'sequence_length';
    graph.output('logits', DataType.FLOAT, ['batch_size', kept, config.vocab_size]);
    const lengths = this.sequenceLengths();
    const rotary = this.rotaryCaches();
    const { vocab_size: vocab, hidden_size: hidden } = config;
    const embedded = this.weights.embedding('/model/embed_tokens', 'emb.weight', ids, vocab, hidden);

    // The residual stream is added up inside SkipSimplifiedLayerNormalization, so it travels as two addends.
    let residual = embedded;
    let addend: string | undefined;
    for (let i = 0; i < config.num_hidden_layers; i++) {
      const path = `/model/layers.${i}`;
      const before = this.norm(`${path}/input_layernorm`, `blocks.${i}.n1.weight`, residual, addend);
      const attended = this.attention(i, before.normed, lengths, rotary);
      const afterPath = `${path}/post_attention_layernorm`;
      const after = this.norm(afterPath, `blocks.${i}.n2.weight`, before.sum, attended);
      residual = after.sum;
      addend = this.mlp(i, after.normed);
    }
    const finalPath = `/model/layers.${config.num_hidden_layers}/final_norm_layernorm`;
    const final = this.norm(finalPath, 'nf.weight', residual, addend, false);
    const last = this.lastPositions(final.normed);
    this.logits(this.weights.linear('/lm_head', 'emb.weight', last, vocab, hidden));
    return graph.encode();
  }

  /** The value `logits`, always f32: what samplers work on, and a half would cost the tail its order. */
  private logits(raw: string): void {
    const half = this.float === DataType.FLOAT16;
    if (half) this.graph.node('/lm_head/Cast', 'Cast', [raw], { attributes: { to: 1 }, outputs: ['logits'] });
    else this.graph.renameOutput(raw, 'logits');
  }

  /** The last `num_logits_to_keep` positions: a slice from its negative, which for 0 is everything. */
  private lastPositions(x: string): string {
    const { graph } = this;
    if (!this.options.numLogitsToKeep) return x;
    const one = graph.int64('/model/constants/INT64/[1]/shape', [1], [1n]);
    const end = graph.int64('/model/constants/INT64/[max]', [1], [2n ** 63n - 1n]);
    const negative = graph.node('/model/keep_logits/Neg', 'Neg', ['num_logits_to_keep']);
    const start = graph.node('/model/keep_logits/Reshape', 'Reshape', [negative, one]);
    return graph.node('/model/keep_logits/Slice', 'Slice', [x, start, end, one]);
  }

  /** seqlens_k (each sequence's length - 1) and the total length, from the mask; once for all layers. */
  private sequenceLengths(): Lengths {
    const { graph } = this;
    const path = '/model/attn_mask_reformat/attn_mask_subgraph';
    const one = graph.int64('/model/constants/INT64/[1]', [1], [1n]);
    const index = graph.int64('/model/constants/INT64/1', [], [1n]);
    const toInt32 = { attributes: { to: DataType.INT32 } };
    const sum = graph.node(`${path}/ReduceSum`, 'ReduceSum', ['attention_mask', one], {
      attributes: { keepdims: 1 },
    });
    const less = graph.node(`${path}/Sub`, 'Sub', [sum, one]);
    const seqlens = graph.node(`${path}/Sub/Cast`, 'Cast', [less], toInt32);
    const shape = graph.node(`${path}/Shape`, 'Shape', ['attention_mask']);
    const length = graph.node(`${path}/Gather`, 'Gather', [shape, index], { attributes: { axis: 0 } });
    const total = graph.node(`${path}/Gather/Cast`, 'Cast', [length], toInt32);
    return { seqlens, total };
  }

  private rotaryCaches(): Rotary {
    const { head_dim, max_position_embeddings: positions, rope_theta } = this.config;
    const half = head_dim / 2;
    const cos = new Float32Array(positions * half);
    const sin = new Float32Array(positions * half);
    for (let i = 0; i < half; i++) {
      const frequency = rope_theta ** (-(2 * i) / head_dim);
      for (let p = 0; p < positions; p++) {
        cos[p * half + i] = Math.cos(p * frequency);
        sin[p * half + i] = Math.sin(p * frequency);
      }
    }
    return {
      cos: this.graph.float('cos_cache', this.float, [positions, half], cos),
      sin: this.graph.float('sin_cache', this.float, [positions, half], sin),
    };
  }

  /** RMSNorm of `a`, or of `a + b`; that sum is an output too, unless nothing reads it. */
  private norm(path: string, weight: string, a: string, b?: string, keepSum = true) {
    const { graph, config } = this;
    const parameter = `${path.slice(1).replaceAll('/', '.')}.weight`;
    const gamma = this.weights.vector(parameter, weight, config.hidden_size);
    const epsilon = { float: config.rms_norm_eps };
    if (b === undefined) {
      // ONNX Runtime registers this operator in the default domain, unlike its Skip relative.
      const normed = graph.node(`${path}/LayerNorm`, 'SimplifiedLayerNormalization', [a, gamma], {
        attributes: { axis: -1, epsilon, stash_type: 1 },
      });
      return { normed, sum: a };
    }
    const name = `${path}/SkipLayerNorm`;
    const sum = `${name}/output_3`;
    const normed = graph.node(name, 'SkipSimplifiedLayerNormalization', [a, b, gamma], {
      domain: MICROSOFT,
      attributes: { epsilon },
      outputs: keepSum ? [`${name}/output_0`, '', '', sum] : [`${name}/output_0`],
    });
    return { normed, sum };
  }

  private attention(layer: number, x: string, lengths: Lengths, rotary: Rotary): string {
    const { graph, config, weights } = this;
    const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: size } = config;
    const hidden = config.hidden_size;
    const path = `/model/layers.${layer}/attn`;
    const block = `blocks.${layer}`;
    const q = weights.linear(`${path}/q_proj`, `${block}.q.weight`, x, heads * size, hidden);
    const k = weights.linear(`${path}/k_proj`, `${block}.k.weight`, x, kvHeads * size, hidden);
    const v = weights.linear(`${path}/v_proj`, `${block}.v.weight`, x, kvHeads * size, hidden);
    const shape = (length: string) => ['batch_size', kvHeads, length, size];
    const past = ['key', 'value'].map((kind) =>
      graph.input(`past_key_values.${layer}.${kind}`, this.float, shape('past_sequence_length')),
    );
    const present = ['key', 'value'].map((kind) =>
      graph.output(`present.${layer}.${kind}`, this.float, shape('total_sequence_length')),
    );
    const name = `${path}/GroupQueryAttention`;
    const inputs = [q, k, v, ...past, lengths.seqlens, lengths.total, rotary.cos, rotary.sin];
    const output = graph.node(name, 'GroupQueryAttention', inputs, {
      domain: MICROSOFT,
      attributes: {
        num_heads: heads,
        kv_num_heads: kvHeads,
        scale: { float: 1 / Math.sqrt(size) },
        do_rotary: 1,
        rotary_interleaved: 0,
      },
      outputs: [`${name}/output_0`, ...present],
    });
    return weights.linear(`${path}/o_proj`, `${block}.o.weight`, output, hidden, heads * size);
  }

  private mlp(layer: number, x: string): string {
    const { graph, weights } = this;
    const { hidden_size: hidden, intermediate_size: inner } = this.config;
    const path = `/model/layers.${layer}/mlp`;
    const block = `blocks.${layer}`;
    const gate = weights.linear(`${path}/gate_proj`, `${block}.g.weight`, x, inner, hidden);
    const up = weights.linear(`${path}/up_proj`, `${block}.u.weight`, x, inner, hidden);
    const sigmoid = graph.node(`${path}/act_fn/Sigmoid`, 'Sigmoid', [gate]);
    const silu = graph.node(`${path}/act_fn/Mul`, 'Mul', [gate, sigmoid]);
    const gated = graph.node(`${path}/Mul`, 'Mul', [silu, up]);
    return weights.linear(`${path}/down_proj`, `${block}.d.weight`, gated, hidden, inner);
  }
}
