import { allocate } from '../gpu/allocate.ts';
import type { LayerState } from './layer-state.ts';

// Which V rows a step read: a bit for each key, u32 [batch, kvHeads, scoreStride / 32] in `LayerState.readBits`. The kernels only set bits,
// so that they are cleared before each step.

/** Bytes of the bits of a layer, for keys of a stride of `scoreStride`, a multiple of 64. */
export function readBitsBytes({ batch, shape }: LayerState, scoreStride: number): number {
  return (batch * shape.kvHeads * scoreStride) / 8;
}

/** Whether a layer has room for the bits. */
export function hasReadBits(state: LayerState, scoreStride: number): boolean {
  return (state.readBits?.buffer.size ?? 0) >= readBitsBytes(state, scoreStride);
}

/**
 * Has room for the bits of layers, so that encoding a step creates no buffer. Bits that were not read back are lost where it is made.
 * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`; the layers then have what they had
 */
export async function reserveReadBits(
  device: GPUDevice,
  layers: readonly LayerState[],
  scoreStride: number,
): Promise<void> {
  const wanted = layers.filter((state) => !hasReadBits(state, scoreStride));
  if (wanted.length === 0) return;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const made = await allocate(device, 'Inspecting a step needs', 0, () =>
    // Room for a cache twice as long.
    wanted.map((state) =>
      device.createBuffer({ label: 'sift read bits', size: 2 * readBitsBytes(state, scoreStride), usage }),
    ),
  );
  wanted.forEach((state, i) => {
    state.readBits?.buffer.destroy();
    state.readBits = { buffer: made[i]! };
  });
}

/** Encodes that the bits of a layer are cleared for a step. */
export function clearReadBits(encoder: GPUCommandEncoder, state: LayerState, scoreStride: number): void {
  encoder.clearBuffer(state.readBits!.buffer, 0, readBitsBytes(state, scoreStride));
}
