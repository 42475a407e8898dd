// What attention an ONNX graph has, in words: read from its nodes, so that it holds for any export.
import type { onnx as Onnx } from 'onnx-proto';

type Node = Onnx.INodeProto;

/** Positions of inputs of GroupQueryAttention (com.microsoft). */
const GQA = { key: 1, bias: 10, sinks: 11, queryNorm: 14 } as const;

const PAST_KEY = /^past_key_values\.(\d+)\.(?:decoder\.)?key$/;

const attribute = (node: Node, name: string): number => {
  const found = node.attribute?.find((a) => a.name === name);
  return Number(found?.f || found?.i || 0);
};
const has = (node: Node, input: number): boolean => (node.input?.[input] ?? '') !== '';

/** Values that all nodes share, as `text`; else with how many have it: `window 64 on 2 of 4 layers`. */
function share(text: string, some: number, all: number): string[] {
  if (some === 0) return [];
  return [some === all ? text : `${text} on ${some} of ${all} layers`];
}

/** The head size: the last dimension of a past key, where it is a number. */
function headSize(graph: Onnx.IGraphProto): number | undefined {
  const past = graph.input?.find(({ name }) => PAST_KEY.test(name ?? ''));
  const size = Number(past?.type?.tensorType?.shape?.dim?.at(-1)?.dimValue ?? 0);
  return size > 0 ? size : undefined;
}

function groupQuery(nodes: readonly Node[], size: number | undefined, caches: number): string[] {
  const count = (test: (node: Node) => boolean) => nodes.filter(test).length;
  const all = nodes.length;
  const some = (text: string, test: (node: Node) => boolean) => share(text, count(test), all);
  const heads = new Set(nodes.map((n) => `${attribute(n, 'num_heads')}/${attribute(n, 'kv_num_heads')}`));
  const windows = [...new Set(nodes.map((n) => attribute(n, 'local_window_size')))].filter((w) => w > 0);
  return [
    `GroupQueryAttention, ${[...heads].join(' and ')} heads${size ? ` of ${size}` : ''}`,
    ...some('packed QKV', (node) => !has(node, GQA.key)),
    ...some('rotary inside', (node) => attribute(node, 'do_rotary') > 0),
    ...some('q/k norm inside', (node) => has(node, GQA.queryNorm)),
    ...windows.flatMap((w) => some(`window ${w}`, (node) => attribute(node, 'local_window_size') === w)),
    ...some('soft cap', (node) => attribute(node, 'softcap') > 0),
    ...some('attention sinks', (node) => has(node, GQA.sinks) || attribute(node, 'smooth_softmax') > 0),
    ...some('attention bias', (node) => has(node, GQA.bias)),
    ...(caches < all ? [`${all} attentions on the caches of ${caches} layers`] : []),
  ];
}

/** States of layers that are no attention, by their names: `past_conv`. */
function otherStates(graph: Onnx.IGraphProto): string[] {
  const names = (graph.input ?? [])
    .map(({ name }) => name ?? '')
    .filter((name) => /^past_(?!key_values)/.test(name));
  return [...new Set(names.map((name) => name.split('.')[0]!))];
}

/** Describes the attention of a decoder's graph. */
export function describeAttention(graph: Onnx.IGraphProto): string {
  const nodes = graph.node ?? [];
  const of = (type: string) => nodes.filter(({ opType }) => opType === type);
  const size = headSize(graph);
  const caches = (graph.input ?? []).filter(({ name }) => PAST_KEY.test(name ?? '')).length;
  const grouped = of('GroupQueryAttention');
  const found = grouped.length > 0 ? groupQuery(grouped, size, caches) : [];
  const others = [
    ['MultiHeadAttention', 'num_heads'],
    ['Attention', 'q_num_heads'],
  ] as const;
  for (const [type, heads] of others) {
    const some = of(type);
    if (some.length === 0) continue;
    const count = attribute(some[0]!, heads);
    found.push(`${type}${count ? `, ${count} heads` : ''}${size ? ` of ${size}` : ''}`);
  }
  if (found.length === 0) {
    found.push(of('Softmax').length > 0 ? 'MatMul, Softmax and MatMul as nodes of their own' : 'none');
  }
  if (of('RotaryEmbedding').length > 0) found.push('rotary as nodes of its own');
  const states = otherStates(graph).map((state) => `\`${state}\``);
  if (states.length > 0) found.push(`beside states ${states.join(' and ')}`);
  return found.join(', ');
}
