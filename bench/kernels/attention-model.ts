import { DataType, MICROSOFT, OnnxGraph } from '../../lab/onnx-graph.ts';
import type { AttentionShape } from '../../src/kernel/shape.ts';

/** A model of one GroupQueryAttention on projected q, k and v, without rotary embedding. */
export function attentionModel(shape: AttentionShape): Uint8Array {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const type = dtype === 'f16' ? DataType.FLOAT16 : DataType.FLOAT;
  const graph = new OnnxGraph('attention');
  const cache = (rows: string) => [1, kvHeads, rows, headSize];
  const inputs = [
    graph.input('query', type, [1, 1, queryHeads * headSize]),
    graph.input('key', type, [1, 1, kvHeads * headSize]),
    graph.input('value', type, [1, 1, kvHeads * headSize]),
    graph.input('past_key', type, cache('past')),
    graph.input('past_value', type, cache('past')),
    graph.input('seqlens_k', DataType.INT32, [1]),
    graph.input('total_length', DataType.INT32, []),
  ];
  const outputs = [
    graph.output('output', type, [1, 1, queryHeads * headSize]),
    graph.output('present_key', type, cache('total')),
    graph.output('present_value', type, cache('total')),
  ];
  graph.node('attention', 'GroupQueryAttention', inputs, {
    domain: MICROSOFT,
    attributes: { num_heads: queryHeads, kv_num_heads: kvHeads, do_rotary: 0 },
    outputs,
  });
  return graph.encode();
}
