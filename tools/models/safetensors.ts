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
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start))) as Record<string, Entry>;
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [from, to] = entry.data_offsets;
    const size = entry.dtype === 'F16' ? 2 : entry.dtype === 'F32' ? 4 : 0;
    if (size === 0) throw new Error(`safetensors: ${name} is ${entry.dtype}; only F16 and F32 are read`);
    const count = entry.shape.reduce((a, b) => a * b, 1);
    if (to - from !== count * size || start + to > bytes.byteLength) {
      throw new Error(`safetensors: ${name} spans ${to - from} bytes, expected ${count * size}`);
    }
    // Copied, because the data need not be aligned inside the file (and a Buffer's slice() would be a view).
    const raw = new Uint8Array(bytes.subarray(start + from, start + to)).buffer;
    const data = size === 2 ? unpackFloat16(new Uint16Array(raw)) : new Float32Array(raw);
    tensors.set(name, { shape: entry.shape, data });
  }
  return tensors;
}

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
