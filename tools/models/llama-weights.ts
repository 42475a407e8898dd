import { DataType, type FloatType, MICROSOFT, type OnnxGraph } from './onnx-graph.ts';
import { type Bits, BLOCK, quantise } from './quantise.ts';
import type { Tensor } from './safetensors.ts';

/** How the weights are stored: plain floats, or blocks of codes. */
export interface WeightFormat {
  readonly float: FloatType;
  /** Bits of the layers' matrices; absent when nothing is quantised. */
  readonly bits?: Bits;
  /** Bits of the tied embedding and output matrix when the layers are quantised. */
  readonly embeddingBits?: Bits;
}

/** Adds the nodes that read weights to a graph, in the given format. */
export class WeightNodes {
  private readonly graph: OnnxGraph;
  private readonly weights: ReadonlyMap<string, Tensor>;
  readonly format: WeightFormat;

  constructor(graph: OnnxGraph, weights: ReadonlyMap<string, Tensor>, format: WeightFormat) {
    this.graph = graph;
    this.weights = weights;
    this.format = format;
  }

  /** A one-dimensional parameter. */
  vector(name: string, weight: string, length: number): string {
    return this.graph.float(name, this.format.float, [length], this.get(weight, [length]));
  }

  /** `x` times the transpose of a [out, in] matrix, as the node `path/MatMul`. */
  linear(path: string, weight: string, x: string, out: number, inner: number): string {
    const { graph, format } = this;
    const data = this.get(weight, [out, inner]);
    const parameter = `${parameterName(path)}.MatMul.weight`;
    if (format.bits === undefined) {
      const constant = graph.float(parameter, format.float, [inner, out], transpose(data, out, inner));
      return graph.node(`${path}/MatMul`, 'MatMul', [x, constant]);
    }
    const matrix = quantise(data, out, inner, format.bits, format.float === DataType.FLOAT16);
    const blocks = inner / BLOCK;
    const codes = graph.raw(
      `${parameter}_Q4`,
      DataType.UINT8,
      [out, blocks, (BLOCK * format.bits) / 8],
      matrix.codes,
    );
    const scales = graph.float(`${parameter}_scales`, format.float, [out, blocks], matrix.scales);
    return this.matMulNBits(`${path}/MatMul_Q4`, [x, codes, scales], out, inner, format.bits);
  }

  /**
   * The embedding's lookup, and a function that adds the output matrix. Quantised, both read the same codes
   * and scales, which is why the tied matrix is stored only once.
   */
  tiedEmbedding(weight: string, ids: string, vocab: number, hidden: number) {
    const { graph, format } = this;
    const data = this.get(weight, [vocab, hidden]);
    const path = '/model/embed_tokens';
    const parameter = parameterName(path);
    const bits = format.embeddingBits;
    if (bits === undefined) {
      const table = graph.float(`${parameter}.weight`, format.float, [vocab, hidden], data);
      const embedded = graph.node(`${path}/Gather`, 'Gather', [table, ids]);
      return { embedded, lmHead: (x: string) => this.linear('/lm_head', weight, x, vocab, hidden) };
    }
    const matrix = quantise(data, vocab, hidden, bits, format.float === DataType.FLOAT16);
    const blocks = hidden / BLOCK;
    const codes = graph.raw(
      `${parameter}.weight_Q${bits}`,
      DataType.UINT8,
      [vocab, (hidden * bits) / 8],
      matrix.codes,
    );
    const scales = graph.float(`${parameter}.weight_scales`, format.float, [vocab, blocks], matrix.scales);
    const embedded = graph.node(
      `${path}/GatherBlockQuantized`,
      'GatherBlockQuantized',
      [codes, ids, scales],
      {
        domain: MICROSOFT,
        attributes: { bits, block_size: BLOCK, gather_axis: 0, quantize_axis: 1 },
      },
    );
    const lmHead = (x: string) => {
      // The same bytes in the three dimensions MatMulNBits wants; the runtime folds this away.
      const dims = [vocab, blocks, (BLOCK * bits) / 8].map(BigInt);
      const shape = graph.int64('/lm_head/constants/shape', [3], dims);
      const reshaped = graph.node('/lm_head/Reshape', 'Reshape', [codes, shape]);
      return this.matMulNBits(`/lm_head/MatMul_Q${bits}`, [x, reshaped, scales], vocab, hidden, bits);
    };
    return { embedded, lmHead };
  }

  private matMulNBits(name: string, inputs: string[], out: number, inner: number, bits: Bits): string {
    // No accuracy_level: level 4, which many exports set, rounds the activations to 8 bits.
    return this.graph.node(name, 'MatMulNBits', inputs, {
      domain: MICROSOFT,
      attributes: { K: inner, N: out, bits, block_size: BLOCK },
    });
  }

  private get(name: string, shape: readonly number[]): Float32Array {
    const tensor = this.weights.get(name);
    if (!tensor) throw new Error(`The weights have no ${name}`);
    if (tensor.shape.join() !== shape.join()) {
      throw new Error(`${name} has the shape [${tensor.shape}], the config says [${shape}]`);
    }
    return tensor.data;
  }
}

function parameterName(path: string): string {
  return path.slice(1).replaceAll('/', '.');
}

function transpose(data: Float32Array, rows: number, cols: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = data[r * cols + c]!;
  return out;
}
