import { allocate } from '../../../kernel/gpu/allocate.ts';
import type { OrtTensor, TensorData } from '../runtime.ts';
import type { KvCache } from './kv-cache.ts';

/** What a tensor that a run put out stands for: the first `length` rows of one tensor of a shared cache. */
export interface KvView {
  cache: KvCache;
  index: number;
  length: number;
}

/** The runtime's tensor class, as far as it is used. */
export interface TensorClass {
  new (type: string, data: TensorData, dims: readonly number[]): OrtTensor;
  fromGpuBuffer(
    buffer: GPUBuffer,
    options: {
      dataType: string;
      dims: readonly number[];
      download?: () => Promise<ArrayBufferView>;
      dispose?: () => void;
    },
  ): OrtTensor;
}

/** A view, and what became of it. */
interface LivingView extends KvView {
  /** The rows without gaps, once somebody has asked for them. */
  own: GPUBuffer | undefined;
  disposed: boolean;
}

const views = new WeakMap<OrtTensor, LivingView>();

/** One function for all views: with a getter of its own, every tensor would have a shape of its own for the JavaScript engine. */
const GPU_BUFFER: PropertyDescriptor & ThisType<OrtTensor> = {
  configurable: true,
  get() {
    const view = views.get(this)!;
    if (view.disposed) throw new Error('The tensor is disposed.');
    view.own ??= view.cache.contiguous(view.index, view.length);
    return view.own;
  },
};

/** The view that a tensor is, unless it is none or was disposed of. */
export function viewOf(tensor: OrtTensor | undefined): KvView | undefined {
  return tensor && tensor.location === 'gpu-buffer' ? views.get(tensor) : undefined;
}

/**
 * Has the rows without gaps of those tensors that are views, as a runtime needs them that is to have a cache of its own again.
 * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
 */
export async function unshare(tensors: Iterable<OrtTensor>): Promise<void> {
  const wanted = [...tensors]
    .flatMap((tensor) => views.get(tensor) ?? [])
    .filter(({ own, disposed }) => !own && !disposed);
  const device = wanted[0]?.cache.device;
  if (!device) return;
  const made = await allocate(device, "The runtime's own KV cache needs", 0, () =>
    wanted.map(({ cache, index, length }) => cache.contiguous(index, length)),
  );
  wanted.forEach((view, i) => {
    view.own = made[i];
  });
}

/**
 * A tensor of dims [batch, heads, length, headSize] over a shared cache. It may be used like the runtime's own: whoever asks for
 * its data or its buffer gets the rows without gaps.
 */
export function createView(Tensor: TensorClass, cache: KvCache, index: number, length: number): OrtTensor {
  const { type, batch, heads, headSize } = cache.shapes[index]!;
  const view: LivingView = { cache, index, length, own: undefined, disposed: false };
  const tensor = Tensor.fromGpuBuffer(cache.buffer(index), {
    dataType: type,
    dims: [batch, heads, length, headSize],
    download: async () => typedArray(type, await cache.download(index, length)),
    dispose: () => {
      view.disposed = true;
      view.own?.destroy();
      cache.release(length);
    },
  });
  cache.hold(length);
  views.set(tensor, view);
  Object.defineProperty(tensor, 'gpuBuffer', GPU_BUFFER);
  return tensor;
}

/** The array type in which the runtime hands out a type's elements. */
function typedArray(type: string, data: ArrayBuffer): ArrayBufferView {
  if (type === 'float32') return new Float32Array(data);
  const Half = (globalThis as { Float16Array?: new (data: ArrayBuffer) => ArrayBufferView }).Float16Array;
  return Half ? new Half(data) : new Uint16Array(data);
}
