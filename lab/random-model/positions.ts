import { DataType, type OnnxGraph } from '../onnx-graph.ts';

/** Names of what the attention mask says about lengths. */
export type Lengths = Record<'seqlens' | 'total', string>;

/**
 * seqlens_k (each sequence's length - 1) and the total length, from the mask; once for all layers.
 *
 * @param one - the constant [1]
 */
export function sequenceLengths(graph: OnnxGraph, one: string): Lengths {
  const path = '/model/attn_mask_reformat/attn_mask_subgraph';
  const index = graph.int64('/model/constants/INT64/1', [], [1n]);
  const toInt32 = { attributes: { to: DataType.INT32 } };
  const sum = graph.node(`${path}/ReduceSum`, 'ReduceSum', ['attention_mask', one], {
    attributes: { keepdims: 1 },
  });
  const less = graph.node(`${path}/Sub`, 'Sub', [sum, one]);
  const seqlens = graph.node(`${path}/Sub/Cast`, 'Cast', [less], toInt32);
  const shape = graph.node(`${path}/Shape`, 'Shape', ['attention_mask']);
  const length = graph.node(`${path}/Gather`, 'Gather', [shape, index], { attributes: { axis: 0 } });
  return { seqlens, total: graph.node(`${path}/Gather/Cast`, 'Cast', [length], toInt32) };
}

/**
 * The last `num_logits_to_keep` positions: a slice from its negative, which for 0 is everything.
 *
 * @param one - the constant [1]
 */
export function lastPositions(graph: OnnxGraph, x: string, one: string): string {
  const end = graph.int64('/model/constants/INT64/[max]', [1], [2n ** 63n - 1n]);
  const negative = graph.node('/model/keep_logits/Neg', 'Neg', ['num_logits_to_keep']);
  const start = graph.node('/model/keep_logits/Reshape', 'Reshape', [negative, one]);
  return graph.node('/model/keep_logits/Slice', 'Slice', [x, start, end, one]);
}
