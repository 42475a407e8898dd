import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../lab/root.ts';
import { createRandom } from '../../src/oracle/index.ts';
import { DataType, MICROSOFT, OnnxGraph } from './onnx-graph.ts';

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
  /** Layers with attention sinks. */
  readonly sinks?: readonly number[];
  /** Layers that are a short convolution with a state of its own, as LFM2's are. */
  readonly convolutions?: readonly number[];
  readonly seed?: number;
}

/** Tokens of the embedded model's tokenizer, which small decoders share. */
const VOCABULARY = 8192;
/** Width of the residual stream. */
const HIDDEN = 64;
/** Tokens that a convolution sees. */
const WINDOW = 3;

/** The files of a small decoder, by their paths within the model's folder: what transformers.js loads with `dtype: 'fp32'`. */
export function smallDecoder(options: SmallDecoder = {}): Record<string, Uint8Array> {
  const text = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  const tiny = (name: string) => readFileSync(join(ROOT, 'models/tiny', name));
  const { layers = 2, queryHeads = 4, kvHeads = 2, headSize = 32, positions = 512 } = options;
  const convolutions = options.convolutions ?? [];
  const hybrid = convolutions.length > 0;
  const config = {
    architectures: [hybrid ? 'Lfm2ForCausalLM' : 'LlamaForCausalLM'],
    model_type: hybrid ? 'lfm2' : 'llama',
    vocab_size: VOCABULARY,
    hidden_size: HIDDEN,
    num_hidden_layers: layers,
    num_attention_heads: queryHeads,
    num_key_value_heads: kvHeads,
    head_dim: headSize,
    max_position_embeddings: options.statedPositions ?? positions,
    bos_token_id: 0,
    eos_token_id: 0,
    ...(hybrid && {
      layer_types: Array.from({ length: layers }, (_, i) =>
        convolutions.includes(i) ? 'conv' : 'full_attention',
      ),
      conv_L_cache: WINDOW,
    }),
  };
  return {
    'config.json': text(config),
    'generation_config.json': text({ bos_token_id: 0, eos_token_id: 0 }),
    'tokenizer.json': tiny('tokenizer.json'),
    'tokenizer_config.json': tiny('tokenizer_config.json'),
    'onnx/model.onnx': new SmallDecoderGraph({
      ...options,
      layers,
      queryHeads,
      kvHeads,
      headSize,
      positions,
    }).encode(),
  };
}

type Resolved = SmallDecoder &
  Required<Pick<SmallDecoder, 'layers' | 'queryHeads' | 'kvHeads' | 'headSize' | 'positions'>>;

class SmallDecoderGraph {
  private readonly graph = new OnnxGraph('main_graph');
  private readonly random;

  constructor(private readonly options: Resolved) {
    this.random = createRandom(options.seed ?? 1);
  }

  encode(): Uint8Array {
    const { graph, options } = this;
    const ids = graph.input('input_ids', DataType.INT64, ['batch_size', 'sequence_length']);
    graph.input('attention_mask', DataType.INT64, ['batch_size', 'total_sequence_length']);
    graph.output('logits', DataType.FLOAT, ['batch_size', 'sequence_length', VOCABULARY]);
    const shared = { ...this.lengths(), ...this.rotary() };
    let residual = graph.node('/embed', 'Gather', [this.draw('embed', [VOCABULARY, HIDDEN], 1), ids]);
    for (let layer = 0; layer < options.layers; layer++) {
      const x = this.norm(`/layers.${layer}/norm`, residual);
      const mixed = options.convolutions?.includes(layer)
        ? this.convolution(layer, x)
        : this.attention(layer, x, shared);
      residual = graph.node(`/layers.${layer}/Add`, 'Add', [residual, mixed]);
    }
    const head = this.draw('head', [HIDDEN, VOCABULARY], 2 / Math.sqrt(HIDDEN));
    graph.node('/head', 'MatMul', [this.norm('/norm', residual), head], { outputs: ['logits'] });
    return graph.encode();
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

  private attention(
    layer: number,
    x: string,
    { seqlens, total, cos, sin }: Record<'seqlens' | 'total' | 'cos' | 'sin', string>,
  ): string {
    const { graph } = this;
    const { queryHeads, kvHeads, headSize, sinks } = this.options;
    const path = `/layers.${layer}/attn`;
    const [rows, row] = [queryHeads * headSize, kvHeads * headSize];
    // Scores of some spread, so that rows differ in their probability.
    const q = this.linear(`${path}/q`, x, HIDDEN, rows, 1.5);
    const k = this.linear(`${path}/k`, x, HIDDEN, row, 1.5);
    const v = this.linear(`${path}/v`, x, HIDDEN, row);
    const dims = (length: string) => ['batch_size', kvHeads, length, headSize];
    const kinds = ['key', 'value'];
    const past = kinds.map((kind) =>
      graph.input(`past_key_values.${layer}.${kind}`, DataType.FLOAT, dims('past_sequence_length')),
    );
    const present = kinds.map((kind) =>
      graph.output(`present.${layer}.${kind}`, DataType.FLOAT, dims('total_sequence_length')),
    );
    const inputs = [q, k, v, ...past, seqlens, total, cos, sin];
    // Positions and a bias, left out, lie before the sinks.
    if (sinks?.includes(layer)) inputs.push('', '', this.draw(`${path}.sinks`, [queryHeads], 2));
    const out = graph.node(`${path}/GroupQueryAttention`, 'GroupQueryAttention', inputs, {
      domain: MICROSOFT,
      attributes: { num_heads: queryHeads, kv_num_heads: kvHeads, do_rotary: 1, rotary_interleaved: 0 },
      outputs: [`${path}/output_0`, ...present],
    });
    return this.linear(`${path}/o`, out, rows, HIDDEN);
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
