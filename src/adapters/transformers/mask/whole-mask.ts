import type { OrtTensor } from '../runtime.ts';

/** Keys of the longest mask that is looked through at a step: this takes a few microseconds. At longer ones nothing would be gained by it. */
const LONGEST = 8192;

/**
 * Whether an attention mask says that one sequence sees all of its keys. Its length is then known without the tensor in which the runtime
 * tells it to its kernels. That tensor lies in another buffer at every step, and each of our kernels would need another bind group for it.
 *
 * @param mask int64 [1, length], on the CPU; anything else is not looked through
 * @param length keys, those of the step included
 */
export function seesAllKeys(mask: OrtTensor | undefined, length: number): boolean {
  if (mask?.location !== 'cpu' || length > LONGEST) return false;
  const { dims, data } = mask;
  if (dims.length !== 2 || dims[0] !== 1 || dims[1] !== length) return false;
  if (!(data instanceof BigInt64Array) || data.length !== length) return false;
  // As pairs of 32 bits, the lower half first, as on every machine that has WebGPU. A bigint for each key would be garbage.
  const halves = new Int32Array(data.buffer, data.byteOffset, 2 * length);
  for (let i = 0; i < halves.length; i += 2) if (halves[i] !== 1 || halves[i + 1] !== 0) return false;
  return true;
}
