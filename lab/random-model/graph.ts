import { DataType, MICROSOFT, OnnxGraph } from '../onnx-graph.ts';
import type { ExternalData } from './external-data.ts';
import { type Lengths, lastPositions, sequenceLengths } from './positions.ts';
import { rotaryTable } from './rotary.ts';
import type { ModelShape, RandomDtype } from './shapes.ts';
import { RandomWeights } from './weights.ts';

export interface GraphOptions {
  readonly dtype: RandomDtype;
  /** Rows of the rotary tables. */
  readonly positions: number;
  readonly seed: number;
}

/**
 * Deviations of the scores in four neighbouring heads. With 1 to 1.3 attention is neither uniform nor on a few keys alone,
 * and heads of a group differ.
 */
const SPREADS = [1, 1.3, 1.3, 1] as const;
/** The weight of the norm of q, where q and k are normed: their scores spread as the wider of the above. */
const NORMED_SPREAD = 1.3;
/** Deviation of what attention adds, if it read one V row alone. An average over many rows is smaller. */
const ATTENDED = 2.5;
/** Deviation of what the feed-forward network adds for inner values of mean square 1. Products of its two halves are smaller. */
const FED_FORWARD = 1.5;
/** Deviation of the logits. */
const LOGITS = 2.5;
/** The epsilon of norms of the residual stream, and of q and k. */
const [EPSILON, HEAD_EPSILON] = [1e-5, 1e-6];

/** Names of values that all layers share. */
type Shared = Lengths & Rotary;
type Rotary = Record<'cos' | 'sin', string>;
/** A residual stream that is normed, and before it is. */
type Normed = Record<'normed' | 'sum', string>;

/**
 * Builds the graph of a decoder with random weights. Inputs, outputs, operators and names are those of the exports by ONNX Runtime's
 * model builder, as the hub has them.
 */
export class RandomDecoderGraph {
  private readonly graph = new OnnxGraph('main_graph');
  private readonly weights: RandomWeights;

  /** @param data - is given the large tensors */
  constructor(
    private readonly shape: ModelShape,
    private readonly options: GraphOptions,
    data: ExternalData,
  ) {
    this.weights = new RandomWeights(this.graph, data, options.dtype === 'q4f16', options.seed);
  }

  encode(): Uint8Array {
    const { graph, weights } = this;
    const { layers, hidden, vocabulary } = this.shape;
    const ids = graph.input('input_ids', DataType.INT64, ['batch_size', 'sequence_length']);
    graph.input('attention_mask', DataType.INT64, ['batch_size', 'total_sequence_length']);
    graph.input('num_logits_to_keep', DataType.INT64, []);
    graph.output('logits', DataType.FLOAT, ['batch_size', 'num_logits', vocabulary]);
    const one = graph.int64('/model/constants/INT64/[1]', [1], [1n]);
    const shared = { ...sequenceLengths(graph, one), ...this.rotary() };
    const table = weights.normalTable('model.embed_tokens.weight', vocabulary, hidden);
    // The residual stream is added up inside SkipSimplifiedLayerNormalization, so it travels as two addends.
    let residual = graph.node('/model/embed_tokens/Gather', 'Gather', [table, ids], {
      attributes: { axis: 0 },
    });
    let addend: string | undefined;
    for (let layer = 0; layer < layers; layer++) {
      const path = `/model/layers.${layer}`;
      const before = this.norm(`${path}/input_layernorm`, residual, addend);
      const attended = this.attention(layer, before.normed, shared);
      const after = this.norm(`${path}/post_attention_layernorm`, before.sum, attended);
      residual = after.sum;
      addend = this.feedForward(`${path}/mlp`, after.normed);
    }
    const final = this.norm(`/model/layers.${layers}/final_norm_layernorm`, residual, addend, false);
    const raw = weights.linear('/lm_head', lastPositions(graph, final.normed, one), vocabulary, hidden, {
      // The end of a text, token 0, has the logit 0, so that it is hardly ever the most likely.
      deviation: (token) => (token === 0 ? 0 : LOGITS),
    });
    graph.node('/lm_head/Cast', 'Cast', [raw], {
      attributes: { to: DataType.FLOAT },
      outputs: ['logits'],
    });
    return graph.encode();
  }

  private rotary(): Rotary {
    const { headSize, ropeTheta } = this.shape;
    const { positions } = this.options;
    const table = (kind: 'cos' | 'sin') =>
      this.weights.table(`${kind}_cache`, positions, headSize / 2, () =>
        rotaryTable(kind, positions, headSize, ropeTheta),
      );
    return { cos: table('cos'), sin: table('sin') };
  }

  /** RMSNorm of `a`, or of `a + b`; that sum is an output too, unless nothing reads it. */
  private norm(path: string, a: string, b?: string, keepSum = true): Normed {
    const gamma = this.weights.vector(`${parameterName(path)}.weight`, this.shape.hidden, 1);
    if (b === undefined) {
      return { normed: this.plainNorm(`${path}/LayerNorm`, a, gamma, EPSILON), sum: a };
    }
    const name = `${path}/SkipLayerNorm`;
    const sum = `${name}/output_3`;
    const normed = this.graph.node(name, 'SkipSimplifiedLayerNormalization', [a, b, gamma], {
      domain: MICROSOFT,
      attributes: { epsilon: { float: EPSILON } },
      outputs: keepSum ? [`${name}/output_0`, '', '', sum] : [`${name}/output_0`],
    });
    return { normed, sum };
  }

  private plainNorm(name: string, x: string, gamma: string, epsilon: number): string {
    // ONNX Runtime registers this operator in the default domain, unlike its Skip relative.
    return this.graph.node(name, 'SimplifiedLayerNormalization', [x, gamma], {
      attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
    });
  }

  private attention(layer: number, x: string, { seqlens, total, cos, sin }: Shared): string {
    const { graph, shape, weights } = this;
    const { hidden, queryHeads, kvHeads, headSize } = shape;
    const path = `/model/layers.${layer}/attn`;
    const normed = shape.modelType === 'qwen3';
    // Without norms, heads in pairs share their codes and differ in their spread: the heads of a group look for similar keys.
    const spread = (output: number) => SPREADS[Math.floor(output / headSize) % SPREADS.length]!;
    let q = weights.linear(`${path}/q_proj`, x, queryHeads * headSize, hidden, {
      ...(!normed && { deviation: spread, pairs: headSize }),
    });
    let k = weights.linear(`${path}/k_proj`, x, kvHeads * headSize, hidden);
    const v = weights.linear(`${path}/v_proj`, x, kvHeads * headSize, hidden);
    if (normed) {
      q = this.headNorm(`${path}/q_norm`, q, queryHeads, NORMED_SPREAD);
      k = this.headNorm(`${path}/k_norm`, k, kvHeads, 1);
    }
    const cache = (length: string) => ['batch_size', kvHeads, length, headSize];
    const past = ['key', 'value'].map((kind) =>
      graph.input(`past_key_values.${layer}.${kind}`, weights.float, cache('past_sequence_length')),
    );
    const present = ['key', 'value'].map((kind) =>
      graph.output(`present.${layer}.${kind}`, weights.float, cache('total_sequence_length')),
    );
    const name = `${path}/GroupQueryAttention`;
    const output = graph.node(name, 'GroupQueryAttention', [q, k, v, ...past, seqlens, total, cos, sin], {
      domain: MICROSOFT,
      attributes: {
        num_heads: queryHeads,
        kv_num_heads: kvHeads,
        scale: { float: 1 / Math.sqrt(headSize) },
        do_rotary: 1,
        rotary_interleaved: 0,
      },
      outputs: [`${name}/output_0`, ...present],
    });
    return weights.linear(`${path}/o_proj`, output, hidden, queryHeads * headSize, { deviation: ATTENDED });
  }

  /** The RMSNorm of each head of `x`, which is [batch, sequence, heads · headSize]. */
  private headNorm(path: string, x: string, heads: number, gain: number): string {
    const { graph } = this;
    const { headSize } = this.shape;
    const gamma = this.weights.vector(`${parameterName(path)}.layernorm.weight`, headSize, gain);
    const apart = graph.int64(`${path}/shape1`, [4], [0n, -1n, BigInt(heads), BigInt(headSize)]);
    const joined = graph.int64(`${path}/shape2`, [3], [0n, -1n, BigInt(heads * headSize)]);
    const rows = graph.node(`${path}/Reshape_1`, 'Reshape', [x, apart]);
    const normed = this.plainNorm(`${path}/SimplifiedLayerNormalization`, rows, gamma, HEAD_EPSILON);
    return graph.node(`${path}/Reshape_2`, 'Reshape', [normed, joined]);
  }

  private feedForward(path: string, x: string): string {
    const { graph, weights } = this;
    const { hidden, intermediate } = this.shape;
    const gate = weights.linear(`${path}/gate_proj`, x, intermediate, hidden);
    const up = weights.linear(`${path}/up_proj`, x, intermediate, hidden);
    const sigmoid = graph.node(`${path}/act_fn/Sigmoid`, 'Sigmoid', [gate]);
    const silu = graph.node(`${path}/act_fn/Mul`, 'Mul', [gate, sigmoid]);
    const gated = graph.node(`${path}/Mul`, 'Mul', [silu, up]);
    return weights.linear(`${path}/down_proj`, gated, hidden, intermediate, { deviation: FED_FORWARD });
  }
}

const parameterName = (path: string): string => path.slice(1).replaceAll('/', '.');
