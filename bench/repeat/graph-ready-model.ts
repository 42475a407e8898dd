import { DataType, MICROSOFT, OnnxGraph } from '../../lab/onnx-graph.ts';

/** Sizes of the model below. Its decoder's keys, values and logits are [heads · headSize] wide. */
export const GRAPH_READY = { vocabulary: 32, heads: 2, headSize: 64 } as const;

/**
 * A decoder of one attention whose graph the runtime can capture: nothing of it runs on the CPU, because both lengths are summed up from
 * the attention mask on the GPU. The mask is as long as the KV cache has room.
 */
export function graphReadyModel(): Uint8Array {
  const { vocabulary, heads, headSize } = GRAPH_READY;
  const width = heads * headSize;
  const graph = new OnnxGraph('graph_ready');
  const ids = graph.input('input_ids', DataType.INT64, [1, 'sequence']);
  const mask = graph.input('attention_mask', DataType.INT64, [1, 'capacity']);
  const cache = [1, heads, 'capacity', headSize];
  const past = ['key', 'value'].map((kind) =>
    graph.input(`past_key_values.0.${kind}`, DataType.FLOAT, cache),
  );
  graph.output('logits', DataType.FLOAT, [1, 'sequence', width]);
  const present = ['key', 'value'].map((kind) => graph.output(`present.0.${kind}`, DataType.FLOAT, cache));
  const table = (seed: number) =>
    Float32Array.from({ length: vocabulary * width }, (_, i) => Math.sin(seed + i * i));
  const [q, k, v] = [1, 2, 3].map((seed) => {
    const rows = graph.float(`table_${seed}`, DataType.FLOAT, [vocabulary, width], table(seed));
    return graph.node(`embed_${seed}`, 'Gather', [rows, ids], { attributes: { axis: 0 } });
  });
  const int32 = { attributes: { to: DataType.INT32 } };
  const one = graph.int64('one', [1], [1n]);
  const numbers = graph.node('mask32', 'Cast', [mask], int32);
  const sum = graph.node('sum', 'ReduceSum', [numbers, one], { attributes: { keepdims: 0 } });
  const less = graph.node('less', 'Sub', [sum, graph.node('one32', 'Cast', [one], int32)]);
  graph.node('attention', 'GroupQueryAttention', [q!, k!, v!, ...past, less, sum], {
    domain: MICROSOFT,
    attributes: { num_heads: heads, kv_num_heads: heads, do_rotary: 0 },
    outputs: ['logits', ...present],
  });
  return graph.encode();
}
