import type { Compensation } from './compensation.ts';
import { DataType, type FloatType, MICROSOFT, type OnnxGraph } from './onnx-graph.ts';
import { BLOCK, quantise } from './quantise.ts';
import type { Tensor } from './safetensors.ts';

/** How the weights are stored. */
export interface WeightFormat {
  /** The type of activations, and of the weights that stay unquantised. */
  readonly float: FloatType;
  /** Whether matrices are stored in blocks of codes. */
  readonly quantised: boolean;
  /** What quantising each matrix should make up for, by the name of its constant in the unquantised graph. */
  readonly compensations?: ReadonlyMap<string, Compensation>;
}

/** Adds the nodes that read weights to a graph, in the given format. */
export class WeightNodes {
  private readonly graph: OnnxGraph;
  private readonly weights: ReadonlyMap<string, Tensor>;
  private readonly format: WeightFormat;

  constructor(graph: OnnxGraph, weights: ReadonlyMap<string, Tensor>, format: WeightFormat) {
    this.graph = graph;
    this.weights = weights;
    this.format = format;
  }

  /** A one-dimensional parameter. */
  vector(name: string, weight: string, length: number): string {
    return this.graph.float(name, this.format.float, [length], this.get(weight, [length]));
  }

  /** `x` times the transpose of an [out, in] matrix, as the node `path/MatMul` or `path/MatMul_Q4`. */
  linear(path: string, weight: string, x: string, out: number, inner: number): string {
    const { graph, format } = this;
    const data = this.get(weight, [out, inner]);
    const parameter = `${parameterName(path)}.MatMul.weight`;
    if (!format.quantised) {
      const constant = graph.float(parameter, format.float, [inner, out], transpose(data, out, inner));
      return graph.node(`${path}/MatMul`, 'MatMul', [x, constant]);
    }
    const compensation = format.compensations?.get(parameter);
    const halfScales = format.float === DataType.FLOAT16;
    const matrix = quantise(
      data,
      out,
      inner,
      4,
      compensation ? { halfScales, compensation } : { halfScales },
    );
    const blocks = inner / BLOCK;
    const codes = graph.raw(`${parameter}_Q4`, DataType.UINT8, [out, blocks, BLOCK / 2], matrix.codes);
    const scales = graph.float(`${parameter}_scales`, format.float, [out, blocks], matrix.scales);
    // No accuracy_level: level 4, which many exports set, rounds the activations to 8 bits.
    return graph.node(`${path}/MatMul_Q4`, 'MatMulNBits', [x, codes, scales], {
      domain: MICROSOFT,
      attributes: { K: inner, N: out, bits: 4, block_size: BLOCK },
    });
  }

  /**
   * The embedding's lookup. Quantised it takes 8 bits, which cost next to no loss; the output matrix, though
   * tied, is stored again in 4 bits, which are faster to multiply with.
   */
  embedding(path: string, weight: string, ids: string, vocab: number, hidden: number): string {
    const { graph, format } = this;
    const data = this.get(weight, [vocab, hidden]);
    const parameter = `${parameterName(path)}.weight`;
    if (!format.quantised) {
      const table = graph.float(parameter, format.float, [vocab, hidden], data);
      return graph.node(`${path}/Gather`, 'Gather', [table, ids]);
    }
    const matrix = quantise(data, vocab, hidden, 8, { halfScales: format.float === DataType.FLOAT16 });
    const codes = graph.raw(`${parameter}_Q8`, DataType.UINT8, [vocab, hidden], matrix.codes);
    const scales = graph.float(`${parameter}_scales`, format.float, [vocab, hidden / BLOCK], matrix.scales);
    return graph.node(`${path}/GatherBlockQuantized`, 'GatherBlockQuantized', [codes, ids, scales], {
      domain: MICROSOFT,
      attributes: { bits: 8, block_size: BLOCK, gather_axis: 0, quantize_axis: 1 },
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
