import { packFloat16 } from '../../src/kernel/gpu/float16.ts';
import { createRandom, type Random } from '../../src/oracle/random.ts';
import { DataType, type FloatType, MICROSOFT, type OnnxGraph } from '../onnx-graph.ts';
import type { ExternalData } from './external-data.ts';
import { bytesOf, CODE_DEVIATION, Pool } from './pool.ts';

/** Elements of a row that share a scale. */
const BLOCK = 32;

/** What a random matrix is like. */
export interface MatrixOptions {
  /**
   * The standard deviation of the outputs for inputs whose mean square is 1; for all of them, or by the output's number.
   * Default: 1.
   */
  readonly deviation?: number | ((output: number) => number);
  /** Outputs of a head, if each odd head is to have the codes of the head before it. */
  readonly pairs?: number | undefined;
}

/** Adds random weights to a graph: the large ones to the file beside the model, the others to the graph itself. */
export class RandomWeights {
  /** Of activations and of what is not quantised. */
  readonly float: FloatType;
  private readonly random: Random;
  private readonly codes: Pool;
  private readonly normals: Pool;

  constructor(
    private readonly graph: OnnxGraph,
    private readonly data: ExternalData,
    half: boolean,
    seed: number,
  ) {
    this.float = half ? DataType.FLOAT16 : DataType.FLOAT;
    this.random = createRandom(seed);
    this.codes = Pool.codes(seed + 1);
    this.normals = Pool.normals(seed + 2, half);
  }

  /** A parameter of `length` equal elements. */
  vector(name: string, length: number, value: number): string {
    return this.graph.float(name, this.float, [length], new Float32Array(length).fill(value));
  }

  /** A table of the given values, [rows, columns], in the type of the activations. */
  table(
    name: string,
    rows: number,
    columns: number,
    values: () => Iterable<Float32Array<ArrayBuffer>>,
  ): string {
    const pack = (block: Float32Array<ArrayBuffer>) => this.pack(block);
    return this.floats(name, [rows, columns], function* () {
      for (const block of values()) yield pack(block);
    });
  }

  /** A table of normals, [rows, columns]. */
  normalTable(name: string, rows: number, columns: number): string {
    const start = this.normals.start(this.random);
    return this.floats(name, [rows, columns], (bytes) => this.normals.read(bytes, start));
  }

  /** `x` times the transpose of a random [rows, inner] matrix in 4 bits, as the node `path/MatMul_Q4`. */
  linear(path: string, x: string, rows: number, inner: number, options: MatrixOptions = {}): string {
    const parameter = `${path.slice(1).replaceAll('/', '.')}.MatMul.weight`;
    const codes = this.matrixCodes(`${parameter}_Q4`, rows, inner, options.pairs);
    const scales = this.matrixScales(`${parameter}_scales`, rows, inner, options.deviation ?? 1);
    return this.graph.node(`${path}/MatMul_Q4`, 'MatMulNBits', [x, codes, scales], {
      domain: MICROSOFT,
      attributes: { K: inner, N: rows, bits: 4, block_size: BLOCK },
    });
  }

  private matrixCodes(name: string, rows: number, inner: number, pairs = rows): string {
    const { codes, random } = this;
    const rowBytes = inner / 2;
    const starts: number[] = [];
    for (let head = 0; head < rows / pairs; head++)
      starts.push(head % 2 ? starts[head - 1]! : codes.start(random));
    const place = this.data.add(name, rows * rowBytes, function* () {
      for (const start of starts) yield* codes.read(pairs * rowBytes, start);
    });
    return this.graph.external(name, DataType.UINT8, [rows, inner / BLOCK, BLOCK / 2], place);
  }

  private matrixScales(
    name: string,
    rows: number,
    inner: number,
    deviation: NonNullable<MatrixOptions['deviation']>,
  ): string {
    const blocks = inner / BLOCK;
    const of = typeof deviation === 'number' ? () => deviation : deviation;
    return this.floats(name, [rows, blocks], () => {
      const values = new Float32Array(rows * blocks);
      for (let row = 0; row < rows; row++)
        values.fill(of(row) / (CODE_DEVIATION * Math.sqrt(inner)), row * blocks, (row + 1) * blocks);
      return [this.pack(values)];
    });
  }

  /** A constant of floating-point numbers in the file beside the model. */
  private floats(
    name: string,
    dims: readonly number[],
    chunks: (bytes: number) => Iterable<Uint8Array<ArrayBuffer>>,
  ): string {
    const bytes = dims.reduce((a, b) => a * b, this.float === DataType.FLOAT16 ? 2 : 4);
    return this.graph.external(
      name,
      this.float,
      dims,
      this.data.add(name, bytes, () => chunks(bytes)),
    );
  }

  private pack(values: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    return bytesOf(this.float === DataType.FLOAT16 ? packFloat16(values) : values);
  }
}
