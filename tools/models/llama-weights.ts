import { DataType, type FloatType, MICROSOFT, type OnnxGraph } from '../../lab/onnx-graph.ts';
import type { Compensation } from './compensation.ts';
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
   * The embedding's lookup. Its table is not quantised (the output matrix, though tied, is stored again, in 4
   * bits), but q4 keeps it in f16: the cast is of a constant, so the runtime does it once, on the CPU, when it
   * loads the model, and the device needs no f16. GatherBlockQuantized would be smaller, but ONNX Runtime's
   * WebAssembly CPU build lacks it.
   */
  embedding(path: string, weight: string, ids: string, vocab: number, hidden: number): string {
    const { graph, format } = this;
    const data = this.get(weight, [vocab, hidden]);
    const widened = format.quantised && format.float === DataType.FLOAT;
    const type = widened ? DataType.FLOAT16 : format.float;
    const stored = graph.float(`${parameterName(path)}.weight`, type, [vocab, hidden], data);
    const cast = { attributes: { to: DataType.FLOAT } };
    const table = widened ? graph.node(`${path}/Cast`, 'Cast', [stored], cast) : stored;
    return graph.node(`${path}/Gather`, 'Gather', [table, ids], { attributes: { axis: 0 } });
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
