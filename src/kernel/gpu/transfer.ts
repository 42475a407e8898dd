import type { DType } from '../shape.ts';
import { allocate, readBack } from './allocate.ts';
import { packFloat16, unpackFloat16 } from './float16.ts';

/** Numbers that a buffer is to hold, and their type on the GPU. */
export type Uploaded = readonly [values: ArrayLike<number>, dtype: DType | 'i32'];

/**
 * Makes a storage buffer with these numbers in the element type. Its size is rounded up to 16 bytes. Where there is no memory for it, see
 * {@link uploadAll}.
 */
export function upload(device: GPUDevice, values: ArrayLike<number>, dtype: DType | 'i32'): GPUBuffer {
  const data =
    dtype === 'f16'
      ? packFloat16(values)
      : dtype === 'i32'
        ? Int32Array.from(values)
        : Float32Array.from(values);
  const buffer = device.createBuffer({
    size: Math.max(16, Math.ceil(data.byteLength / 16) * 16),
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
    mappedAtCreation: true,
  });
  new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(data.buffer));
  buffer.unmap();
  return buffer;
}

/**
 * Makes a storage buffer for each of the given lists, by name.
 * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
 */
export async function uploadAll<K extends string>(
  device: GPUDevice,
  what: string,
  lists: Readonly<Record<K, Uploaded>>,
): Promise<Record<K, GPUBuffer>> {
  const all = Object.entries<Uploaded>(lists);
  const made = await allocate(device, what, 0, function* () {
    for (const [, [values, dtype]] of all) yield upload(device, values, dtype);
  });
  return Object.fromEntries(all.map(([name], i) => [name, made[i]!])) as Record<K, GPUBuffer>;
}

/**
 * Reads the first `count` elements of a buffer back.
 * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
 */
export async function download(
  device: GPUDevice,
  buffer: GPUBuffer,
  count: number,
  dtype: DType,
): Promise<Float32Array> {
  const bytes = Math.ceil((count * (dtype === 'f16' ? 2 : 4)) / 4) * 4;
  const raw = await readBack(device, [{ buffer, bytes }]);
  if (dtype === 'f32') return new Float32Array(raw).slice(0, count);
  return unpackFloat16(new Uint16Array(raw).subarray(0, count));
}
