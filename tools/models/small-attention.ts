// The forms in which exports have the attention of a decoder, for small decoders of random weights.
import { DataType, MICROSOFT, type OnnxGraph } from '../../lab/onnx-graph.ts';

/** Heads of an attention. */
export interface Heads {
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** A layer's KV cache: names of the past inputs and of the present outputs of the graph, key before value. */
export interface Cache {
  readonly past: readonly [string, string];
  readonly present: readonly [string, string];
}

/** What all layers of a graph use. */
export interface Shared {
  /** Keys less 1 of each text, and of the longest one, as int32. */
  readonly seqlens: string;
  readonly total: string;
  /** Rotary tables. */
  readonly cos: string;
  readonly sin: string;
}

/** Extras of a GroupQueryAttention; values are names of constants, [queryHeads] or [headSize]. */
export interface GroupQueryExtras {
  readonly window?: number | undefined;
  readonly sinks?: string | undefined;
  readonly norms?: readonly [string, string] | undefined;
  /** The layer attends to a cache that another layer has written. */
  readonly borrowed?: boolean | undefined;
}

/**
 * ONNX Runtime's own operator.
 *
 * @param qkv - names of q, k and v, [batch, length, heads * headSize]; k and v are '' where q is all three packed
 * @returns the output's name, [batch, length, queryHeads * headSize]
 */
export function groupQueryAttention(
  graph: OnnxGraph,
  path: string,
  [q, k, v]: readonly [string, string, string],
  { queryHeads, kvHeads }: Heads,
  cache: Cache,
  { seqlens, total, cos, sin }: Shared,
  { window, sinks, norms, borrowed }: GroupQueryExtras,
): string {
  const stored = borrowed ? cache.present : cache.past;
  const inputs = [q, k, v, ...stored, seqlens, total, ...(borrowed ? [] : [cos, sin])];
  // Optional inputs have places: positions 9, bias 10, sinks 11, scales 12 and 13, the weights of the norms 14 and 15.
  const place = (at: number, ...names: readonly string[]) => {
    while (inputs.length < at) inputs.push('');
    inputs.push(...names);
  };
  if (sinks !== undefined) place(11, sinks);
  if (norms !== undefined) place(14, ...norms);
  return graph.node(`${path}/GroupQueryAttention`, 'GroupQueryAttention', inputs, {
    domain: MICROSOFT,
    attributes: {
      num_heads: queryHeads,
      kv_num_heads: kvHeads,
      do_rotary: borrowed ? 0 : 1,
      rotary_interleaved: 0,
      ...(window !== undefined && { local_window_size: window }),
      ...(norms !== undefined && { qk_norm_epsilon: { float: 1e-5 } }),
    },
    outputs: [`${path}/output_0`, ...(borrowed ? [] : cache.present)],
  });
}

/** A causal mask to be added to scores: 0 where a query sees a key, [1, 1, length, total]. */
export function causalBias(graph: OnnxGraph): string {
  const scalar = (name: string, value: bigint) => graph.int64(`/bias/${name}`, [], [value]);
  const [zero, one] = [scalar('zero', 0n), scalar('one', 1n)];
  const length = (input: string) => {
    const shape = graph.node(`/bias/${input}/Shape`, 'Shape', [input]);
    return graph.node(`/bias/${input}/Gather`, 'Gather', [shape, one], { attributes: { axis: 0 } });
  };
  const total = length('attention_mask');
  const first = graph.node('/bias/First', 'Sub', [total, length('input_ids')]);
  const queries = graph.node('/bias/Queries', 'Range', [first, total, one]);
  const keys = graph.node('/bias/Keys', 'Range', [zero, total, one]);
  const column = graph.node('/bias/Column', 'Unsqueeze', [queries, graph.int64('/bias/last', [1], [1n])]);
  const hidden = graph.node('/bias/Hidden', 'Less', [column, keys]);
  const number = (name: string, value: number) =>
    graph.float(`/bias/${name}`, DataType.FLOAT, [], Float32Array.of(value));
  const bias = graph.node('/bias/Where', 'Where', [hidden, number('no', -1e9), number('yes', 0)]);
  const axes = graph.int64('/bias/axes', [2], [0n, 1n]);
  return graph.node('/bias/Bias', 'Unsqueeze', [bias, axes]);
}

/**
 * An attention whose cache is grown by nodes of its own, as exports without GroupQueryAttention have it. It has no rotary embedding, and
 * as many KV heads as query heads.
 *
 * @param fused - whether a MultiHeadAttention computes it, or MatMul, Softmax and MatMul
 * @param bias - what {@link causalBias} has given
 */
export function plainAttention(
  graph: OnnxGraph,
  path: string,
  qkv: readonly [string, string, string],
  { queryHeads, headSize }: Heads,
  { past, present }: Cache,
  bias: string,
  fused: boolean,
): string {
  const node = (name: string, type: string, inputs: string[], attributes = {}, outputs?: string[]) =>
    graph.node(`${path}/${name}`, type, inputs, { attributes, ...(outputs && { outputs }) });
  const split = graph.int64(`${path}/split`, [4], [0n, 0n, BigInt(queryHeads), BigInt(headSize)]);
  const join = graph.int64(`${path}/join`, [3], [0n, 0n, BigInt(queryHeads * headSize)]);
  const swap = { perm: [0, 2, 1, 3] };
  const heads = (name: string, x: string) =>
    node(`${name}/Transpose`, 'Transpose', [node(`${name}/Reshape`, 'Reshape', [x, split])], swap);
  const rows = (name: string, x: string) =>
    node(`${name}/Reshape`, 'Reshape', [node(`${name}/Transpose`, 'Transpose', [x], swap), join]);
  const grown = (['k', 'v'] as const).map((name, i) =>
    node(`${name}/Concat`, 'Concat', [past[i]!, heads(name, qkv[i + 1]!)], { axis: 2 }, [present[i]!]),
  );
  if (fused) {
    const [k, v] = grown.map((x, i) => rows(`all_${'kv'[i]}`, x));
    return graph.node(`${path}/MultiHeadAttention`, 'MultiHeadAttention', [qkv[0], k!, v!, '', '', bias], {
      domain: MICROSOFT,
      attributes: { num_heads: queryHeads },
    });
  }
  const columns = node('Columns', 'Transpose', [grown[0]!], { perm: [0, 1, 3, 2] });
  const scale = graph.float(`${path}/scale`, DataType.FLOAT, [], Float32Array.of(headSize ** -0.5));
  const scores = node('Mul', 'Mul', [node('Scores', 'MatMul', [heads('q', qkv[0]), columns]), scale]);
  const probabilities = node('Softmax', 'Softmax', [node('Add', 'Add', [scores, bias])], { axis: -1 });
  return rows('out', node('Values', 'MatMul', [probabilities, grown[1]!]));
}
