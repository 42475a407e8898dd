import { describe, expect, test } from 'vitest';
import { DataType, decodeOnnx } from '../../lab/onnx-graph.ts';
import { unpackFloat16 } from '../../src/kernel/gpu/float16.ts';
import { fixtureConfig, fixtureWeights } from './fixture.ts';
import { buildLlama, type Dtype, type GraphOptions } from './llama.ts';

const CONFIG = fixtureConfig();

function decode(dtype: Dtype, options: Partial<GraphOptions> = {}) {
  const model = decodeOnnx(buildLlama(CONFIG, fixtureWeights(CONFIG), { dtype, ...options }));
  const graph = model.graph!;
  const initialisers = new Map(graph.initializer!.map((tensor) => [tensor.name!, tensor]));
  return { model, graph, nodes: graph.node!, initialisers };
}

/** Symbolic or numeric dimensions of the graph's inputs or outputs, by name. */
function shapes(list: ReturnType<typeof decode>['graph']['input']) {
  return Object.fromEntries(
    list!.map(({ name, type }) => {
      const { elemType, shape } = type!.tensorType!;
      return [name, [elemType, ...shape!.dim!.map((d) => d.dimParam || Number(d.dimValue))]];
    }),
  );
}

describe('buildLlama', () => {
  test.each([
    ['fp32', DataType.FLOAT],
    ['fp16', DataType.FLOAT16],
    ['q4', DataType.FLOAT],
    ['q4f16', DataType.FLOAT16],
  ] as const)('%s has the inputs and outputs that transformers.js feeds and reads', (dtype, float) => {
    const { graph } = decode(dtype);
    const cache = (prefix: string, length: string) =>
      Object.fromEntries(
        [0, 1].flatMap((layer) =>
          ['key', 'value'].map((kind) => [
            `${prefix}.${layer}.${kind}`,
            [float, 'batch_size', 2, length, 16],
          ]),
        ),
      );
    expect(shapes(graph.input)).toEqual({
      input_ids: [DataType.INT64, 'batch_size', 'sequence_length'],
      attention_mask: [DataType.INT64, 'batch_size', 'total_sequence_length'],
      ...cache('past_key_values', 'past_sequence_length'),
    });
    expect(graph.output![0]!.name).toBe('logits');
    expect(shapes(graph.output)).toEqual({
      logits: [DataType.FLOAT, 'batch_size', 'sequence_length', 96],
      ...cache('present', 'total_sequence_length'),
    });
  });

  test('a q4 layer has the operators of the hub exports, in their order', () => {
    const { nodes } = decode('q4');
    const layer = nodes.filter((node) => node.name!.startsWith('/model/layers.1/'));
    expect(
      layer.map((node) => [node.name!.slice('/model/layers.1/'.length), node.opType, node.domain]),
    ).toEqual([
      ['input_layernorm/SkipLayerNorm', 'SkipSimplifiedLayerNormalization', 'com.microsoft'],
      ['attn/q_proj/MatMul_Q4', 'MatMulNBits', 'com.microsoft'],
      ['attn/k_proj/MatMul_Q4', 'MatMulNBits', 'com.microsoft'],
      ['attn/v_proj/MatMul_Q4', 'MatMulNBits', 'com.microsoft'],
      ['attn/GroupQueryAttention', 'GroupQueryAttention', 'com.microsoft'],
      ['attn/o_proj/MatMul_Q4', 'MatMulNBits', 'com.microsoft'],
      ['post_attention_layernorm/SkipLayerNorm', 'SkipSimplifiedLayerNormalization', 'com.microsoft'],
      ['mlp/gate_proj/MatMul_Q4', 'MatMulNBits', 'com.microsoft'],
      ['mlp/up_proj/MatMul_Q4', 'MatMulNBits', 'com.microsoft'],
      ['mlp/act_fn/Sigmoid', 'Sigmoid', ''],
      ['mlp/act_fn/Mul', 'Mul', ''],
      ['mlp/Mul', 'Mul', ''],
      ['mlp/down_proj/MatMul_Q4', 'MatMulNBits', 'com.microsoft'],
    ]);
  });

  test('GroupQueryAttention rotates by itself and shares one reading of the mask', () => {
    const { nodes } = decode('fp16');
    const attention = nodes.filter((node) => node.opType === 'GroupQueryAttention');
    expect(attention).toHaveLength(2);
    expect(attention[0]!.input!.slice(5)).toEqual(attention[1]!.input!.slice(5));
    expect(attention[1]!.input).toEqual([
      '/model/layers.1/attn/q_proj/MatMul/output_0',
      '/model/layers.1/attn/k_proj/MatMul/output_0',
      '/model/layers.1/attn/v_proj/MatMul/output_0',
      'past_key_values.1.key',
      'past_key_values.1.value',
      '/model/attn_mask_reformat/attn_mask_subgraph/Sub/Cast/output_0',
      '/model/attn_mask_reformat/attn_mask_subgraph/Gather/Cast/output_0',
      'cos_cache',
      'sin_cache',
    ]);
    expect(attention[1]!.output!.slice(1)).toEqual(['present.1.key', 'present.1.value']);
    const attributes = attention[0]!.attribute!.map(({ name, f, i }) => [
      name,
      name === 'scale' ? f : Number(i),
    ]);
    expect(Object.fromEntries(attributes)).toEqual({
      num_heads: 4,
      kv_num_heads: 2,
      scale: 0.25,
      do_rotary: 1,
      rotary_interleaved: 0,
    });
    expect(nodes.filter((node) => node.opType === 'ReduceSum')).toHaveLength(1);
  });

  test('every value that is read is written, and the constants have the shapes of their types', () => {
    for (const dtype of ['fp32', 'fp16', 'q4', 'q4f16'] as const) {
      const { graph, nodes, initialisers } = decode(dtype, { numLogitsToKeep: true });
      const known = new Set(['', ...graph.input!.map((input) => input.name!), ...initialisers.keys()]);
      for (const node of nodes) {
        for (const input of node.input!) expect(known, `${node.name} reads ${input}`).toContain(input);
        for (const output of node.output!) known.add(output);
      }
      for (const output of graph.output!) expect(known).toContain(output.name);
      const sizes: Record<number, number> = { 1: 4, 2: 1, 7: 8, 10: 2 };
      for (const { name, dataType, dims, rawData } of initialisers.values()) {
        const count = dims!.map(Number).reduce((a, b) => a * b, 1);
        expect(rawData!.length, name!).toBe(count * sizes[dataType!]!);
      }
    }
  });

  test('plain matrices are transposed, quantised ones keep their rows', () => {
    const plain = decode('fp32').initialisers.get('model.layers.0.attn.o_proj.MatMul.weight')!;
    expect(plain.dims!.map(Number)).toEqual([64, 32]);
    const values = new Float32Array(new Uint8Array(plain.rawData!).buffer);
    expect(values[1]).toBe(Math.fround(Math.sin(64))); // row 0, column 1: input 0 of output 1
    const { initialisers, nodes } = decode('q4f16');
    const name = 'model.layers.0.attn.o_proj.MatMul.weight';
    expect(initialisers.get(`${name}_Q4`)!.dims!.map(Number)).toEqual([32, 2, 16]);
    expect(initialisers.get(`${name}_scales`)!.dims!.map(Number)).toEqual([32, 2]);
    const node = nodes.find((candidate) => candidate.name === '/model/layers.0/attn/o_proj/MatMul_Q4')!;
    const attributes = Object.fromEntries(node.attribute!.map(({ name: key, i }) => [key, Number(i)]));
    expect(attributes).toEqual({ K: 64, N: 32, bits: 4, block_size: 32 });
  });

  test('the rotary tables are those of the trained model', () => {
    const { initialisers } = decode('fp16');
    const cos = initialisers.get('cos_cache')!;
    expect(cos.dims!.map(Number)).toEqual([128, 8]);
    const table = unpackFloat16(new Uint16Array(new Uint8Array(cos.rawData!).buffer));
    expect(table[100 * 8 + 3]).toBeCloseTo(Math.cos(100 * 100000 ** (-6 / 16)), 3);
  });

  test('q4 stores the embedding in f16 and widens it by a cast of the constant', () => {
    const { initialisers, nodes } = decode('q4');
    expect(initialisers.get('model.embed_tokens.weight')!.dataType).toBe(DataType.FLOAT16);
    const cast = nodes.find((node) => node.name === '/model/embed_tokens/Cast')!;
    expect(cast.input).toEqual(['model.embed_tokens.weight']);
  });

  test('numLogitsToKeep adds its input before the output matrix', () => {
    const { graph, nodes } = decode('fp32', { numLogitsToKeep: true });
    expect(graph.input!.map((input) => input.name)).toContain('num_logits_to_keep');
    const head = nodes.find((node) => node.name === '/lm_head/MatMul')!;
    expect(head.input![0]).toBe('/model/keep_logits/Slice/output_0');
  });

  test('says which weight is missing or has another shape than the config says', () => {
    const all = fixtureWeights(CONFIG);
    all.delete('blocks.1.u.weight');
    expect(() => buildLlama(CONFIG, all, { dtype: 'fp32' })).toThrow(/no blocks\.1\.u\.weight/);
    const wider = { ...CONFIG, vocab_size: 128 };
    expect(() => buildLlama(wider, fixtureWeights(CONFIG), { dtype: 'fp32' })).toThrow(
      /emb\.weight has the shape \[96,32\]/,
    );
    const untied = { ...CONFIG, tie_word_embeddings: false };
    expect(() => buildLlama(untied, fixtureWeights(CONFIG), { dtype: 'fp32' })).toThrow(/tied/);
  });
});
