import { expect, test } from 'vitest';
import { decodeOnnx } from '../../lab/onnx-graph.ts';
import { smallDecoder } from '../../tools/models/small-decoder.ts';
import { describeAttention } from './graph.ts';

const of = (options: Parameters<typeof smallDecoder>[0]) =>
  describeAttention(decodeOnnx(smallDecoder(options)['onnx/model.onnx']!).graph!);

test('the attention of small decoders', () => {
  expect(of({})).toBe('GroupQueryAttention, 4/2 heads of 32, rotary inside');
  expect(of({ layers: 3, sinks: [1] })).toContain(', attention sinks on 1 of 3 layers');
  expect(of({ sinks: [0, 1] })).toMatch(/, attention sinks$/);
  expect(of({ layers: 3, convolutions: [0] })).toMatch(/, beside states `past_conv`$/);
  expect(of({ packed: true, norms: true, windows: { 1: 24 } })).toBe(
    'GroupQueryAttention, 4/2 heads of 32, packed QKV, rotary inside, q/k norm inside, window 24 on 1 of 2 layers',
  );
  expect(of({ borrowing: 1 })).toContain('3 attentions on the caches of 2 layers');
  expect(of({ attention: 'fused' })).toBe('MultiHeadAttention, 4 heads of 32');
  expect(of({ attention: 'nodes' })).toBe('MatMul, Softmax and MatMul as nodes of their own');
});

const node = (opType: string, input: string[], ints: Record<string, number> = {}) => ({
  opType,
  input,
  attribute: Object.entries(ints).map(([name, i]) => ({ name, i })),
});
const past = (layer: number) => ({
  name: `past_key_values.${layer}.key`,
  type: { tensorType: { shape: { dim: [{ dimParam: 'n' }, { dimValue: 64 }] } } },
});

test('packed QKV, windows, norms and caches that several attentions share', () => {
  const heads = { num_heads: 4, kv_num_heads: 2 };
  const packed = ['qkv', '', '', 'pk', 'pv', 's', 't'];
  const normed = [...packed, '', '', '', '', '', '', '', 'qn', 'kn'];
  const graph = {
    input: [past(0)],
    node: [
      node('GroupQueryAttention', packed, { ...heads, local_window_size: 64 }),
      node('GroupQueryAttention', normed, { ...heads, local_window_size: -1 }),
      node('RotaryEmbedding', []),
    ],
  };
  expect(describeAttention(graph)).toBe(
    'GroupQueryAttention, 4/2 heads of 64, packed QKV, q/k norm inside on 1 of 2 layers, window 64 on 1 of 2 layers, 2 attentions on the caches of 1 layers, rotary as nodes of its own',
  );
});

test('other operators, and none', () => {
  expect(describeAttention({ node: [node('MultiHeadAttention', [], { num_heads: 8 })] })).toBe(
    'MultiHeadAttention, 8 heads',
  );
  expect(describeAttention({ input: [past(0)], node: [node('Attention', [], { q_num_heads: 8 })] })).toBe(
    'Attention, 8 heads of 64',
  );
  expect(describeAttention({ node: [node('Softmax', [])] })).toBe(
    'MatMul, Softmax and MatMul as nodes of their own',
  );
  expect(describeAttention({ node: [] })).toBe('none');
});
