import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataType, OnnxGraph } from '../../lab/onnx-graph.ts';
import { ROOT } from '../../lab/root.ts';
import { createRandom } from '../../src/oracle/index.ts';
import {
  type Cache,
  causalBias,
  groupQueryAttention,
  plainAttention,
  type Shared,
} from './small-attention.ts';

/** What a small decoder is like. Its weights are drawn at random, in f32. */
export interface SmallDecoder {
  readonly layers?: number;
  readonly queryHeads?: number;
  readonly kvHeads?: number;
  readonly headSize?: number;
  /** Positions that its rotary tables have. */
  readonly positions?: number;
  /** Positions that its config.json says it has; default: as many. */
  readonly statedPositions?: number;
  /** Tokens of its vocabulary; default: those of the embedded model's tokenizer, which it has in any case. */
  readonly vocabulary?: number;
  /** The operators of its attention: `'grouped'` (GroupQueryAttention, the default), `'fused'` (MultiHeadAttention with a mask as a
   * bias and as many KV heads as query heads), or `'nodes'` (MatMul, Softmax and MatMul, likewise). The others are for `'grouped'`. */
  readonly attention?: 'grouped' | 'fused' | 'nodes';
  /** Layers with attention sinks. */
  readonly sinks?: readonly number[];
  /** Keys that layers with a sliding window see, by layer. */
  readonly windows?: Readonly<Record<number, number>>;
  /** One projection makes q, k and v. */
  readonly packed?: boolean;
  /** q and k are normed inside the operator. */
  readonly norms?: boolean;
  /** Layers after the others that have no cache of their own: they attend to that of the last layer before them. */
  readonly borrowing?: number;
  /** The embedding is a graph of its own, and the decoder takes `inputs_embeds`, as Qwen3.5's does. */
  readonly embeds?: boolean;
  /** Layers that are a short convolution with a state of its own, as LFM2's are. */
  readonly convolutions?: readonly number[];
  readonly seed?: number;
}

/** Tokens of the embedded model's tokenizer. */
const VOCABULARY = 8192;
/** Width of the residual stream. */
const HIDDEN = 64;
/** Tokens that a convolution sees. */
const WINDOW = 3;

/** The files of a small decoder, by their paths within the model's folder: what transformers.js loads with `dtype: 'fp32'`. */
export function smallDecoder(options: SmallDecoder = {}): Record<string, Uint8Array> {
  const text = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  const tiny = (name: string) => readFileSync(join(ROOT, 'models/tiny', name));
  const resolved = resolve(options);
  const embedding = options.embeds ? new SmallDecoderGraph(resolved).encodeEmbedding() : undefined;
  return {
    'config.json': text(configOf(resolved)),
    'generation_config.json': text({ bos_token_id: 0, eos_token_id: 0 }),
    'tokenizer.json': tiny('tokenizer.json'),
    'tokenizer_config.json': tiny('tokenizer_config.json'),
    ...(embedding && { 'onnx/embed_tokens.onnx': embedding }),
    [`onnx/${embedding ? 'decoder_model_merged' : 'model'}.onnx`]: new SmallDecoderGraph(resolved).encode(),
  };
}

const resolve = (options: SmallDecoder): Resolved => ({
  ...options,
  layers: options.layers ?? 2,
  queryHeads: options.queryHeads ?? 4,
  kvHeads:
    (options.attention ?? 'grouped') === 'grouped' ? (options.kvHeads ?? 2) : (options.queryHeads ?? 4),
  headSize: options.headSize ?? 32,
  positions: options.positions ?? 512,
  vocabulary: options.vocabulary ?? VOCABULARY,
});

/** The configuration, by which the library chooses the class of the model and the names of its states. */
function configOf(options: Resolved): object {
  const { layers, convolutions = [], embeds } = options;
  const states = Array.from({ length: layers }, (_, i) =>
    convolutions.includes(i) ? 'conv' : 'full_attention',
  );
  const hybrid = convolutions.length > 0;
  const config = {
    architectures: [hybrid ? 'Lfm2ForCausalLM' : 'LlamaForCausalLM'],
    model_type: hybrid ? 'lfm2' : 'llama',
    vocab_size: options.vocabulary,
    hidden_size: HIDDEN,
    num_hidden_layers: layers,
    num_attention_heads: options.queryHeads,
    num_key_value_heads: options.kvHeads,
    head_dim: options.headSize,
    max_position_embeddings: options.statedPositions ?? options.positions,
    bos_token_id: 0,
    eos_token_id: 0,
    ...((hybrid || embeds) && { layer_types: states }),
    ...(hybrid && { conv_L_cache: WINDOW }),
  };
  if (!embeds) return config;
  return {
    architectures: ['Qwen3_5ForConditionalGeneration'],
    model_type: 'qwen3_5',
    text_config: { ...config, model_type: 'qwen3_5_text' },
    vision_config: { spatial_merge_size: 2 },
    image_token_id: options.vocabulary - 1,
    video_token_id: options.vocabulary - 2,
    vision_start_token_id: options.vocabulary - 3,
    bos_token_id: 0,
    eos_token_id: 0,
  };
}

type Resolved = SmallDecoder &
  Required<Pick<SmallDecoder, 'layers' | 'queryHeads' | 'kvHeads' | 'headSize' | 'positions' | 'vocabulary'>>;

/** Of the scores: rows are to differ in their probability. */
const SPREAD = 1.5;

const cacheNames = (layer: number): Cache => ({
  past: [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`],
  present: [`present.${layer}.key`, `present.${layer}.value`],
});

class SmallDecoderGraph {
  private readonly graph = new OnnxGraph('main_graph');
  private readonly random;

  constructor(private readonly options: Resolved) {
    this.random = createRandom(options.seed ?? 1);
  }

  /** The graph of the embedding alone. */
  encodeEmbedding(): Uint8Array {
    const ids = this.graph.input('input_ids', DataType.INT64, ['batch_size', 'sequence_length']);
    this.graph.output('inputs_embeds', DataType.FLOAT, ['batch_size', 'sequence_length', HIDDEN]);
    this.embedding(ids, ['inputs_embeds']);
    return this.graph.encode();
  }

  encode(): Uint8Array {
    const { graph, options } = this;
    const { vocabulary, layers, attention = 'grouped', borrowing = 0 } = options;
    const places = ['batch_size', 'sequence_length'];
    let residual = options.embeds
      ? graph.input('inputs_embeds', DataType.FLOAT, [...places, HIDDEN])
      : this.embedding(graph.input('input_ids', DataType.INT64, places));
    graph.input('attention_mask', DataType.INT64, ['batch_size', 'total_sequence_length']);
    graph.output('logits', DataType.FLOAT, [...places, vocabulary]);
    const shared = attention === 'grouped' ? { ...this.lengths(), ...this.rotary() } : causalBias(graph);
    for (let layer = 0; layer < layers + borrowing; layer++) {
      const x = this.norm(`/layers.${layer}/norm`, residual);
      const mixed = options.convolutions?.includes(layer)
        ? this.convolution(layer, x)
        : this.attention(layer, x, shared);
      residual = graph.node(`/layers.${layer}/Add`, 'Add', [residual, mixed]);
    }
    const head = this.draw('head', [HIDDEN, vocabulary], 2 / Math.sqrt(HIDDEN));
    graph.node('/head', 'MatMul', [this.norm('/norm', residual), head], { outputs: ['logits'] });
    return graph.encode();
  }

  private embedding(ids: string, outputs = ['/embed/output_0']): string {
    const table = this.draw('embed', [this.options.vocabulary, HIDDEN], 1);
    return this.graph.node('/embed', 'Gather', [table, ids], { outputs });
  }

  private draw(name: string, dims: readonly number[], deviation: number): string {
    const size = dims.reduce((a, b) => a * b, 1);
    return this.graph.float(name, DataType.FLOAT, dims, this.random.normals(size, deviation));
  }

  private linear(name: string, x: string, inner: number, out: number, gain = 1): string {
    const weight = this.draw(`${name}.weight`, [inner, out], gain / Math.sqrt(inner));
    return this.graph.node(name, 'MatMul', [x, weight]);
  }

  private norm(name: string, x: string): string {
    const ones = this.graph.float(
      `${name}.weight`,
      DataType.FLOAT,
      [HIDDEN],
      new Float32Array(HIDDEN).fill(1),
    );
    return this.graph.node(name, 'SimplifiedLayerNormalization', [x, ones], {
      attributes: { axis: -1, epsilon: { float: 1e-5 }, stash_type: 1 },
    });
  }

  private lengths(): { seqlens: string; total: string } {
    const { graph } = this;
    const axis = graph.int64('axis', [1], [1n]);
    const one = graph.int64('one', [1], [1n]);
    const index = graph.int64('index', [], [1n]);
    const toInt32 = { attributes: { to: DataType.INT32 } };
    const sum = graph.node('/lengths/ReduceSum', 'ReduceSum', ['attention_mask', axis], {
      attributes: { keepdims: 0 },
    });
    const less = graph.node('/lengths/Sub', 'Sub', [sum, one]);
    const seqlens = graph.node('/lengths/Cast', 'Cast', [less], toInt32);
    const shape = graph.node('/lengths/Shape', 'Shape', ['attention_mask']);
    const length = graph.node('/lengths/Gather', 'Gather', [shape, index], { attributes: { axis: 0 } });
    return { seqlens, total: graph.node('/lengths/Total', 'Cast', [length], toInt32) };
  }

  private rotary(): { cos: string; sin: string } {
    const { positions, headSize } = this.options;
    const half = headSize / 2;
    const angles = Float32Array.from(
      { length: positions * half },
      (_, i) => Math.floor(i / half) * 10000 ** (-(i % half) / half),
    );
    const table = (name: string, f: (x: number) => number) =>
      this.graph.float(name, DataType.FLOAT, [positions, half], angles.map(f));
    return { cos: table('cos_cache', Math.cos), sin: table('sin_cache', Math.sin) };
  }

  private attention(layer: number, x: string, shared: Shared | string): string {
    const { graph, options } = this;
    const { queryHeads, kvHeads, headSize, layers, packed, windows, sinks, norms } = options;
    const path = `/layers.${layer}/attn`;
    const borrowed = layer >= layers;
    const [rows, row] = [queryHeads * headSize, kvHeads * headSize];
    const cache = borrowed ? cacheNames(layers - 1) : this.cache(layer);
    const out =
      typeof shared === 'string'
        ? plainAttention(
            graph,
            path,
            this.projections(path, x, rows, row),
            options,
            cache,
            shared,
            options.attention === 'fused',
          )
        : groupQueryAttention(
            graph,
            path,
            borrowed
              ? [this.linear(`${path}/q`, x, HIDDEN, rows, SPREAD), ...this.nothing(row)]
              : packed
                ? [this.linear(`${path}/qkv`, x, HIDDEN, rows + 2 * row, SPREAD), '', '']
                : this.projections(path, x, rows, row),
            options,
            cache,
            shared,
            {
              borrowed,
              window: windows?.[layer],
              sinks: sinks?.includes(layer) ? this.draw(`${path}.sinks`, [queryHeads], 2) : undefined,
              norms: norms ? [this.weights(`${path}.q_norm`), this.weights(`${path}.k_norm`)] : undefined,
            },
          );
    return this.linear(`${path}/o`, out, rows, HIDDEN);
  }

  private projections(path: string, x: string, rows: number, row: number): [string, string, string] {
    const q = this.linear(`${path}/q`, x, HIDDEN, rows, SPREAD);
    const k = this.linear(`${path}/k`, x, HIDDEN, row, SPREAD);
    return [q, k, this.linear(`${path}/v`, x, HIDDEN, row)];
  }

  /** Weights of a norm inside an attention, [headSize]. */
  private weights(name: string): string {
    const { headSize } = this.options;
    const values = this.random.normals(headSize, 0.2).map((value) => 1.2 + value);
    return this.graph.float(name, DataType.FLOAT, [headSize], values);
  }

  /** Key and value of a layer that has none: no rows. */
  private nothing(row: number): [string, string] {
    const none = this.graph.float('no_rows', DataType.FLOAT, [1, 0, row], new Float32Array(0));
    return [none, none];
  }

  /** Declares the KV cache of a layer. */
  private cache(layer: number): Cache {
    const { kvHeads, headSize } = this.options;
    const names = cacheNames(layer);
    const declare = (add: 'input' | 'output', name: string, length: string) =>
      this.graph[add](name, DataType.FLOAT, ['batch_size', kvHeads, length, headSize]);
    for (const name of names.past) declare('input', name, 'past_sequence_length');
    for (const name of names.present) declare('output', name, 'total_sequence_length');
    return names;
  }

  /** A depthwise convolution over the last tokens, whose inputs are kept in `past_conv.N`. */
  private convolution(layer: number, x: string): string {
    const { graph } = this;
    const path = `/layers.${layer}/conv`;
    const dims = ['batch_size', HIDDEN, WINDOW];
    const past = graph.input(`past_conv.${layer}`, DataType.FLOAT, dims);
    const present = graph.output(`present_conv.${layer}`, DataType.FLOAT, dims);
    const axis = graph.int64(`${path}/axis`, [1], [2n]);
    const end = graph.int64(`${path}/end`, [1], [2n ** 62n]);
    const columns = graph.node(`${path}/Transpose`, 'Transpose', [x], { attributes: { perm: [0, 2, 1] } });
    const all = graph.node(`${path}/Concat`, 'Concat', [past, columns], { attributes: { axis: 2 } });
    const last = graph.int64(`${path}/last`, [1], [BigInt(-WINDOW)]);
    graph.node(`${path}/State`, 'Slice', [all, last, end, axis], { outputs: [present] });
    const second = graph.int64(`${path}/second`, [1], [1n]);
    const seen = graph.node(`${path}/Slice`, 'Slice', [all, second, end, axis]);
    const kernel = this.draw(`${path}/kernel`, [HIDDEN, 1, WINDOW], 0.6);
    const mixed = graph.node(`${path}/Conv`, 'Conv', [seen, kernel], {
      attributes: { group: HIDDEN, kernel_shape: [WINDOW] },
    });
    const rows = graph.node(`${path}/Back`, 'Transpose', [mixed], { attributes: { perm: [0, 2, 1] } });
    return this.linear(`${path}/out`, rows, HIDDEN, HIDDEN);
  }
}
