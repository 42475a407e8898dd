import { packFloat16, unpackFloat16 } from '../../kernel/gpu/float16.ts';
import { upload } from '../../kernel/gpu/transfer.ts';
import type { AttentionShape, DType } from '../../kernel/shape.ts';
import type { Random } from '../../oracle/index.ts';
import { TILE } from './attention-programs.ts';

/** Factor of the queries, so that a few keys of each head count more than the others. */
const QUERY_SCALE = 2;

/** The tensors of one layer, and the buffers that the programs work on. */
export interface Layer {
  /** [queryHeads, headSize]. */
  q: Float32Array;
  /** [kvHeads, capacity, headSize]. */
  k: Float32Array;
  v: Float32Array;
  buffers: Record<string, GPUBuffer>;
}

export interface LayerOptions {
  shape: AttentionShape;
  capacity: number;
  quantised?: boolean;
}

/** Numbers as the element type has them. */
function rounded(values: Float32Array, dtype: DType): Float32Array {
  return dtype === 'f16' ? unpackFloat16(packFloat16(values)) : values;
}

/** Rows in eight bits, four elements in a word, each row after its scale in f32. */
function quantisedRows(device: GPUDevice, values: Float32Array, headSize: number): GPUBuffer {
  const rows = values.length / headSize;
  const rowBytes = headSize + 4;
  const data = new DataView(new ArrayBuffer(rows * rowBytes));
  for (let row = 0; row < rows; row++) {
    const elements = values.subarray(row * headSize, (row + 1) * headSize);
    const scale = elements.reduce((most, each) => Math.max(most, Math.abs(each)), 0) || 1;
    data.setFloat32(row * rowBytes, scale, true);
    elements.forEach((each, i) => {
      data.setInt8(row * rowBytes + 4 + i, Math.round((each / scale) * 127));
    });
  }
  return upload(device, new Int32Array(data.buffer), 'i32');
}

/** Makes the random tensors of a layer, with every row of the cache that decoding can reach. */
export function makeLayer(
  device: GPUDevice,
  random: Random,
  { shape, capacity, quantised = false }: LayerOptions,
  shared: Record<string, GPUBuffer>,
): Layer {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const draw = (heads: number, rows: number, scale = 1) =>
    rounded(random.normals(heads * rows * headSize, scale), dtype);
  const q = draw(queryHeads, 1, QUERY_SCALE);
  const k = draw(kvHeads, capacity);
  const v = draw(kvHeads, capacity);
  const tiles = Math.ceil(capacity / TILE);
  const empty = (elements: number, type = dtype) => upload(device, new Float32Array(elements), type);
  const buffers = {
    ...shared,
    q: upload(device, q, dtype),
    past_key: upload(device, k, dtype),
    past_value: upload(device, v, dtype),
    present_key: quantised ? quantisedRows(device, k, headSize) : empty(k.length),
    present_value: quantised ? quantisedRows(device, v, headSize) : empty(v.length),
    new_key: empty(kvHeads * headSize),
    new_value: empty(kvHeads * headSize),
    scores: empty(queryHeads * capacity),
    metadata: empty(queryHeads * tiles * 2, 'f32'),
    tiles: empty(queryHeads * tiles * headSize),
    attention: empty(queryHeads * headSize),
  };
  return { q, k, v, buffers };
}

/** Rows `from` to `to` of every KV head. */
export function rowsOf(
  all: Float32Array,
  { shape: { kvHeads, headSize }, capacity }: LayerOptions,
  from: number,
  to: number,
): Float32Array<ArrayBuffer> {
  const size = (to - from) * headSize;
  const part = new Float32Array(kvHeads * size);
  for (let head = 0; head < kvHeads; head++) {
    const start = (head * capacity + from) * headSize;
    part.set(all.subarray(start, start + size), head * size);
  }
  return part;
}

/** Puts the row of the new key where `CopyKVCache` takes it from. */
export function writeNewRow(
  device: GPUDevice,
  { k, v, buffers }: Layer,
  options: LayerOptions,
  position: number,
): void {
  for (const [buffer, all] of [
    [buffers.new_key!, k],
    [buffers.new_value!, v],
  ] as const) {
    const row = rowsOf(all, options, position, position + 1);
    device.queue.writeBuffer(buffer, 0, options.shape.dtype === 'f16' ? packFloat16(row) : row);
  }
}

/** Names of buffers by the program and the role that it binds them in, where the role alone does not tell. */
const NAMES: Readonly<Record<string, string>> = {
  'CopyKVCache key': 'new_key',
  'CopyKVCache value': 'new_value',
  'FlashAttentionDecodeQKV out_split_vx': 'tiles',
  'FlashAttentionDecodeQKT output': 'scores',
  'FlashAttentionDecodeSplitVx qk': 'scores',
  'FlashAttentionDecodeSplitVx out_split_vx': 'tiles',
  'FlashAttentionDecodeVxReduce input': 'tiles',
  'FlashAttentionDecodeVxReduce output': 'attention',
};

/** The buffer that the host binds for a role of a program. */
export function bufferFor({ buffers }: Layer, label: string, role: string): GPUBuffer {
  return buffers[NAMES[`${label} ${role}`] ?? role]!;
}
