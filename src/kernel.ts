// `sift-attention/kernel`: the attention on plain GPU buffers, without a runtime.
import type { AttentionShape } from './kernel/shape.ts';
import {
  createSiftAttention as create,
  type SiftAttention,
  type SiftAttentionOptions,
} from './kernel/sift-attention.ts';
import { TEXTS } from './kernel/text/later.ts';
import { LATER_TEXTS } from './kernel/text/later-texts.ts';

/**
 * Decode attention on plain GPU buffers: the `createSiftAttention` of `sift-attention`, with all kernels at hand.
 * @throws {SiftError} with the codes of that function
 */
export function createSiftAttention(
  device: GPUDevice,
  shape: AttentionShape,
  options?: SiftAttentionOptions,
): Promise<SiftAttention> {
  TEXTS.part = { LATER_TEXTS };
  return create(device, shape, options);
}

export type * from './buffers.ts';
export { SiftAttention } from './kernel/sift-attention.ts';
export * from './values.ts';
