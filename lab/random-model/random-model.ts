import { ExternalData } from './external-data.ts';
import { RandomDecoderGraph } from './graph.ts';
import { fileOf, jsonFile, type ModelFile } from './model-file.ts';
import { type ModelShape, type RandomDtype, SHAPES, type ShapeName } from './shapes.ts';
import { fillTokenizer } from './tokenizer.ts';

export interface RandomModelOptions {
  readonly dtype: RandomDtype;
  /** Positions that the model has; default: 135,168, which is 131,072 and room for what is decoded after them. */
  readonly positions?: number;
  /** The same seed gives the same files. Default: 1. */
  readonly seed?: number;
  /** The `tokenizer.json` of `models/tiny`, as text or as what it says. */
  readonly tokenizer: string | object;
}

/** A decoder with random weights, as the files that transformers.js loads. */
export interface RandomModel {
  readonly shape: ModelShape;
  readonly dtype: RandomDtype;
  readonly positions: number;
  /** By their paths within the model's folder, as `onnx/model_q4f16.onnx_data`. */
  readonly files: ReadonlyMap<string, ModelFile>;
  /** Of all files together. */
  readonly bytes: number;
  /** Bytes of K and V of all layers that a token adds to the KV cache. */
  readonly kvBytesPerToken: number;
}

const POSITIONS = 135_168;

/**
 * A decoder of a real shape with random weights, which are made while its files are read. Attention is neither uniform nor on a few keys
 * alone, and logits are finite; what it writes has no meaning.
 */
export function randomModel(shape: ShapeName | ModelShape, options: RandomModelOptions): RandomModel {
  const resolved = typeof shape === 'string' ? SHAPES[shape] : shape;
  const { dtype, positions = POSITIONS, seed = 1, tokenizer } = options;
  const name = `model_${dtype}.onnx`;
  const data = new ExternalData(`${name}_data`);
  const graph = new RandomDecoderGraph(resolved, { dtype, positions, seed }, data).encode();
  const files = new Map([
    ['config.json', jsonFile(configOf(resolved, positions, name))],
    ['generation_config.json', jsonFile({ bos_token_id: 0, eos_token_id: 0 })],
    ['tokenizer.json', jsonFile(fillTokenizer(tokenizer, resolved.vocabulary))],
    ['tokenizer_config.json', jsonFile(tokenizerConfig(positions))],
    [`onnx/${name}`, fileOf(new Uint8Array(graph))],
    [`onnx/${name}_data`, data.file()],
  ]);
  const { layers, kvHeads, headSize } = resolved;
  return {
    shape: resolved,
    dtype,
    positions,
    files,
    bytes: [...files.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    kvBytesPerToken: layers * 2 * kvHeads * headSize * (dtype === 'q4f16' ? 2 : 4),
  };
}

function configOf(shape: ModelShape, positions: number, name: string): object {
  return {
    architectures: [shape.modelType === 'qwen3' ? 'Qwen3ForCausalLM' : 'LlamaForCausalLM'],
    model_type: shape.modelType,
    vocab_size: shape.vocabulary,
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.queryHeads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headSize,
    intermediate_size: shape.intermediate,
    rope_theta: shape.ropeTheta,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    max_position_embeddings: positions,
    hidden_act: 'silu',
    bos_token_id: 0,
    eos_token_id: 0,
    use_cache: true,
    'transformers.js_config': {
      kv_cache_dtype: { fp16: 'float16', q4f16: 'float16' },
      use_external_data_format: { [name]: 1 },
    },
  };
}

const tokenizerConfig = (positions: number): object => ({
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: '<|endoftext|>',
  eos_token: '<|endoftext|>',
  pad_token: '<|endoftext|>',
  add_bos_token: false,
  add_eos_token: false,
  clean_up_tokenization_spaces: false,
  model_max_length: positions,
});
