import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackFloat16 } from '../../src/kernel/gpu/float16.ts';

/** A tensor in row-major order, widened to f32 (exact for f16 files). */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/**
 * Parses one safetensors file: an 8-byte little-endian header length, a JSON header, then the data.
 * F16 and F32 tensors are read; anything else is an error, since no converter here knows it.
 */
export function parseSafetensors(bytes: Uint8Array): Map<string, Tensor> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < 8) throw new Error('safetensors: the file is shorter than its header length');
  const headerLength = Number(view.getBigUint64(0, true));
  const start = 8 + headerLength;
  if (start > bytes.byteLength) throw new Error(`safetensors: header of ${headerLength} bytes does not fit`);
  const header = parseHeader(bytes.subarray(8, start));
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets: offsets } = entry ?? {};
    const size = dtype === 'F16' ? 2 : dtype === 'F32' ? 4 : 0;
    if (size === 0) throw new Error(`safetensors: ${name} is ${dtype}; only F16 and F32 are read`);
    if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
      throw new Error(`safetensors: ${name} has no shape or no place`);
    const [from, to] = offsets as [number, number];
    const count = shape.reduce((a, b) => a * b, 1);
    if (to - from !== count * size || start + to > bytes.byteLength) {
      throw new Error(`safetensors: ${name} spans ${to - from} bytes, expected ${count * size}`);
    }
    // Copied, because the data need not be aligned inside the file (and a Buffer's slice() would be a view).
    const raw = new Uint8Array(bytes.subarray(start + from, start + to)).buffer;
    const data = size === 2 ? unpackFloat16(new Uint16Array(raw)) : new Float32Array(raw);
    tensors.set(name, { shape, data });
  }
  return tensors;
}

function parseHeader(bytes: Uint8Array): Record<string, Partial<Entry> | null> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new Error('safetensors: the header is not JSON', { cause });
  }
  if (typeof header !== 'object' || header === null) throw new Error('safetensors: the header is no object');
  return header as Record<string, Partial<Entry> | null>;
}

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);

/** All tensors of all `*.safetensors` files of a folder. */
export function readSafetensorsDir(dir: string): Map<string, Tensor> {
  const files = readdirSync(dir)
    .filter((file) => file.endsWith('.safetensors'))
    .sort();
  if (files.length === 0) throw new Error(`No *.safetensors files in ${dir}`);
  const all = new Map<string, Tensor>();
  for (const file of files) {
    for (const [name, tensor] of parseSafetensors(readFileSync(join(dir, file)))) all.set(name, tensor);
  }
  return all;
}
