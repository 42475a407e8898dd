import type { onnx as Onnx } from 'onnx-proto';
// The package is CommonJS, and Node does not see the names of its exports. The default import is the one form that Node, Vite's server
// and bundles all resolve.
import onnxProto from 'onnx-proto';
import { packFloat16 } from '../src/kernel/gpu/float16.ts';

const { onnx } = onnxProto;

/** ONNX element types used here (TensorProto.DataType). */
export const DataType = { FLOAT: 1, UINT8: 2, INT32: 6, INT64: 7, BOOL: 9, FLOAT16: 10 } as const;
export type FloatType = typeof DataType.FLOAT | typeof DataType.FLOAT16;

/** Domain of ONNX Runtime's own operators. */
export const MICROSOFT = 'com.microsoft';

type Attribute = { readonly float: number } | number | readonly number[];

/** Where a constant's bytes lie, under ONNX's names. */
export interface ExternalPlace {
  /** The file's path, seen from the model's folder. */
  readonly location: string;
  /** In bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
}

/** Collects the parts of an ONNX graph and encodes them. Node `a/b` has the output `a/b/output_0`. */
export class OnnxGraph {
  private readonly graph: Onnx.IGraphProto & {
    node: Onnx.INodeProto[];
    initializer: Onnx.ITensorProto[];
    input: Onnx.IValueInfoProto[];
    output: Onnx.IValueInfoProto[];
  };

  constructor(name: string) {
    this.graph = { name, node: [], initializer: [], input: [], output: [] };
  }

  /**
   * Adds a node and returns the name of its first output.
   *
   * @param outputs - names of the outputs; '' leaves an optional one out
   */
  node(
    name: string,
    opType: string,
    input: string[],
    options: { domain?: string; attributes?: Record<string, Attribute>; outputs?: string[] } = {},
  ): string {
    const output = options.outputs ?? [`${name}/output_0`];
    const attribute = Object.entries(options.attributes ?? {}).map(([name, value]) => ({
      name,
      ...attributeValue(value),
    }));
    this.graph.node.push({ name, opType, domain: options.domain ?? '', input, output, attribute });
    return output[0]!;
  }

  /** Adds a constant of raw little-endian bytes and returns its name. */
  raw(name: string, dataType: number, dims: readonly number[], bytes: ArrayBufferView): string {
    const rawData = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.graph.initializer.push({ name, dataType, dims: [...dims], rawData });
    return name;
  }

  /** Adds a constant whose little-endian bytes lie in a file beside the model, and returns its name. */
  external(name: string, dataType: number, dims: readonly number[], place: ExternalPlace): string {
    const externalData = Object.entries(place).map(([key, value]) => ({ key, value: String(value) }));
    const dataLocation = onnx.TensorProto.DataLocation.EXTERNAL;
    this.graph.initializer.push({ name, dataType, dims: [...dims], dataLocation, externalData });
    return name;
  }

  /** Adds a floating-point constant in the given precision. */
  float(name: string, type: FloatType, dims: readonly number[], values: Float32Array): string {
    return this.raw(name, type, dims, type === DataType.FLOAT ? values : packFloat16(values));
  }

  /** Adds int64 constants. */
  int64(name: string, dims: readonly number[], values: bigint[]): string {
    return this.raw(name, DataType.INT64, dims, BigInt64Array.from(values));
  }

  /** Declares an input of the graph; string dimensions are symbolic. */
  input(name: string, elemType: number, dims: readonly (number | string)[]): string {
    this.graph.input.push(valueInfo(name, elemType, dims));
    return name;
  }

  /** Declares an output of the graph. */
  output(name: string, elemType: number, dims: readonly (number | string)[]): string {
    this.graph.output.push(valueInfo(name, elemType, dims));
    return name;
  }

  /** Gives a node's output another name; nothing may read it yet. */
  renameOutput(from: string, to: string): void {
    const node = this.graph.node.find((candidate) => candidate.output?.includes(from));
    if (!node?.output) throw new Error(`No node has the output ${from}`);
    node.output = node.output.map((name) => (name === from ? to : name));
  }

  /** The encoded model. */
  encode(): Uint8Array {
    const model: Onnx.IModelProto = {
      irVersion: 7,
      producerName: 'sift-attention',
      graph: this.graph,
      opsetImport: [
        { domain: '', version: 14 },
        { domain: MICROSOFT, version: 1 },
      ],
    };
    return encodeOnnx(model);
  }
}

function attributeValue(value: Attribute): Omit<Onnx.IAttributeProto, 'name'> {
  const { INT, INTS, FLOAT } = onnx.AttributeProto.AttributeType;
  if (typeof value === 'number') return { type: INT, i: value };
  if ('float' in value) return { type: FLOAT, f: value.float };
  return { type: INTS, ints: [...value] };
}

function valueInfo(name: string, elemType: number, dims: readonly (number | string)[]): Onnx.IValueInfoProto {
  const dim = dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

/**
 * Decodes an encoded model.
 * @throws {Error} if it is none
 */
export function decodeOnnx(bytes: Uint8Array): Onnx.ModelProto {
  try {
    return onnx.ModelProto.decode(bytes);
  } catch (cause) {
    throw new Error(`ONNX: the file is no model: ${(cause as Error).message}`, { cause });
  }
}

/** Encodes a decoded (and perhaps changed) model. */
export function encodeOnnx(model: Onnx.IModelProto): Uint8Array {
  return onnx.ModelProto.encode(model).finish();
}
