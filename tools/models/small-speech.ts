import { DataType, OnnxGraph } from '../../lab/onnx-graph.ts';

/** Sizes of the model. */
const [HIDDEN, HEADS, HEAD_SIZE, MELS, VOCABULARY] = [64, 2, 32, 80, 260] as const;

const wave = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898) * 0.3);

/**
 * The files of a speech model with the inputs and outputs of Whisper's: an encoder, and a decoder whose caches are its own and the
 * encoder's. It computes nothing of use; transformers.js loads it with `dtype: 'fp32'`.
 */
export function smallSpeech(): Record<string, Uint8Array> {
  const text = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  const ids = { decoder_start_token_id: 256, bos_token_id: 256, eos_token_id: 257 };
  return {
    'config.json': text({
      ...ids,
      model_type: 'whisper',
      architectures: ['WhisperForConditionalGeneration'],
      is_encoder_decoder: true,
      d_model: HIDDEN,
      decoder_layers: 1,
      encoder_layers: 1,
      decoder_attention_heads: HEADS,
      encoder_attention_heads: HEADS,
      num_mel_bins: MELS,
      vocab_size: VOCABULARY,
    }),
    'generation_config.json': text({ ...ids, is_multilingual: false, no_timestamps_token_id: 258 }),
    'onnx/encoder_model.onnx': encoder(),
    'onnx/decoder_model_merged.onnx': decoder(),
  };
}

function encoder(): Uint8Array {
  const graph = new OnnxGraph('encoder');
  const features = graph.input('input_features', DataType.FLOAT, ['batch_size', MELS, 'frames']);
  graph.output('last_hidden_state', DataType.FLOAT, ['batch_size', 'frames', HIDDEN]);
  const weight = graph.float('weight', DataType.FLOAT, [MELS, HIDDEN], wave(MELS * HIDDEN));
  const rows = graph.node('/Transpose', 'Transpose', [features], { attributes: { perm: [0, 2, 1] } });
  graph.node('/MatMul', 'MatMul', [rows, weight], { outputs: ['last_hidden_state'] });
  return graph.encode();
}

function decoder(): Uint8Array {
  const graph = new OnnxGraph('decoder');
  const ids = graph.input('input_ids', DataType.INT64, ['batch_size', 'length']);
  graph.input('encoder_hidden_states', DataType.FLOAT, ['batch_size', 'frames', HIDDEN]);
  graph.input('use_cache_branch', DataType.BOOL, [1]);
  graph.output('logits', DataType.FLOAT, ['batch_size', 'length', VOCABULARY]);
  const table = graph.float('table', DataType.FLOAT, [VOCABULARY, HIDDEN], wave(VOCABULARY * HIDDEN));
  const head = graph.float('head', DataType.FLOAT, [HIDDEN, VOCABULARY], wave(HIDDEN * VOCABULARY));
  const embedded = graph.node('/Gather', 'Gather', [table, ids]);
  graph.node('/MatMul', 'MatMul', [embedded, head], { outputs: ['logits'] });
  const shape = graph.int64('shape', [4], [0n, 0n, BigInt(HEADS), BigInt(HEAD_SIZE)]);
  const split = graph.node('/Reshape', 'Reshape', [embedded, shape]);
  const rows = graph.node('/Transpose', 'Transpose', [split], { attributes: { perm: [0, 2, 1, 3] } });
  for (const name of ['decoder.key', 'decoder.value', 'encoder.key', 'encoder.value']) {
    const dims = (length: string) => ['batch_size', HEADS, `${length} ${name}`, HEAD_SIZE];
    const past = graph.input(`past_key_values.0.${name}`, DataType.FLOAT, dims('past'));
    const present = graph.output(`present.0.${name}`, DataType.FLOAT, dims('present'));
    const own = name.startsWith('decoder');
    graph.node(`/${name}`, own ? 'Concat' : 'Identity', own ? [past, rows] : [past], {
      ...(own && { attributes: { axis: 2 } }),
      outputs: [present],
    });
  }
  return graph.encode();
}
