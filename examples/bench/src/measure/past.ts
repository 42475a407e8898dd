import { DynamicCache, Tensor } from '@huggingface/transformers';
import { Tensor as OrtTensor } from 'onnxruntime-web/webgpu';
import { packFloat16 } from '../../../../src/kernel/gpu/float16.ts';
import { createRandom } from '../../../../src/oracle/random.ts';

/** What a model's KV cache is like. */
export interface CacheShape {
  layers: number;
  kvHeads: number;
  headSize: number;
  type: 'float16' | 'float32';
}

/** Bytes of random numbers that a cache is filled from, over and over again. */
const CHUNK = 1 << 24;

/**
 * A past of many keys, on the GPU, without a prompt that would take minutes: K and V are normal numbers. It is made once for a length.
 * Every generation gets tensors of its own over the same buffers, which nobody writes to.
 */
export class GivenPast {
  private constructor(
    private readonly buffers: readonly GPUBuffer[],
    private readonly shape: CacheShape,
    readonly length: number,
  ) {}

  /** @throws {Error} where there is no memory for it */
  static async create(device: GPUDevice, shape: CacheShape, length: number, seed = 1): Promise<GivenPast> {
    const { layers, kvHeads, headSize, type } = shape;
    const bytes = kvHeads * length * headSize * (type === 'float16' ? 2 : 4);
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    // Two copies behind each other, so that a copy may begin anywhere in the first one.
    const source = device.createBuffer({
      size: 2 * CHUNK,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
    });
    const data = normals(type, seed);
    device.queue.writeBuffer(source, 0, data);
    device.queue.writeBuffer(source, CHUNK, data);
    const encoder = device.createCommandEncoder();
    const buffers = Array.from({ length: 2 * layers }, (_, i) => {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
      const buffer = device.createBuffer({ size: 16 * Math.ceil(bytes / 16), usage });
      for (let to = 0, n = 0; to < bytes; to += CHUNK, n++) {
        const from = ((i * 7919 + n * 104_729) * 16) % CHUNK;
        encoder.copyBufferToBuffer(source, from, buffer, to, Math.min(CHUNK, bytes - to));
      }
      return buffer;
    });
    device.queue.submit([encoder.finish()]);
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    source.destroy();
    const past = new GivenPast(buffers, shape, length);
    const error = errors.find((each) => each !== null);
    if (error) {
      past.destroy();
      throw new Error(`a past of ${length} keys does not fit the device: ${error.message}`);
    }
    return past;
  }

  /** As `generate` takes it; it may be disposed of by whom it is given to. */
  cache(): DynamicCache {
    const { kvHeads, headSize, type } = this.shape;
    const entries = this.buffers.map((buffer, i) => {
      const dims = [1, kvHeads, this.length, headSize];
      const tensor = OrtTensor.fromGpuBuffer(buffer, { dataType: type, dims });
      return [`past_key_values.${i >> 1}.${i % 2 ? 'value' : 'key'}`, new Tensor(tensor as never)];
    });
    return new DynamicCache(Object.fromEntries(entries));
  }

  destroy(): void {
    for (const buffer of this.buffers) buffer.destroy();
  }
}

/** {@link CHUNK} bytes of normal numbers. */
function normals(
  type: CacheShape['type'],
  seed: number,
): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  const values = createRandom(seed).normals(CHUNK / (type === 'float16' ? 2 : 4));
  return type === 'float16' ? packFloat16(values) : values;
}
