import type { DType } from '../shape.ts';
import { packFloat16, unpackFloat16 } from './float16.ts';

/** Makes a storage buffer with these numbers in the element type. Its size is rounded up to 16 bytes. */
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

/** Reads the first `count` elements of a buffer back. */
export async function download(
  device: GPUDevice,
  buffer: GPUBuffer,
  count: number,
  dtype: DType,
): Promise<Float32Array> {
  const bytes = Math.ceil((count * (dtype === 'f16' ? 2 : 4)) / 4) * 4;
  const staging = device.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const raw = staging.getMappedRange().slice(0);
  staging.destroy();
  if (dtype === 'f32') return new Float32Array(raw).slice(0, count);
  return unpackFloat16(new Uint16Array(raw).subarray(0, count));
}
