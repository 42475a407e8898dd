import type { Tuning } from '../step/tuning.ts';
import type { KvLayout } from './kv-layout.ts';

/**
 * Which form of the kernels a device gets: it depends on the device's features and on the layout of the
 * cache.
 */
export interface KernelVariant {
  /** The least number of invocations that a subgroup may have; 0 for kernels without subgroup operations. */
  readonly subgroupSize: number;
  /** Whether the sift kernel screens K in f16, for f16 caches on devices with `shader-f16`. */
  readonly halfScreen: boolean;
  /** Whether WGSL has products of four signed bytes (the language feature `packed_4x8_integer_dot_product`). */
  readonly packedDot: boolean;
  readonly kv: KvLayout;
  /** Whether the kernels that choose rows note which they read, for `sift.inspect`. Only these kernels depend on it. */
  readonly notesReads?: boolean;
  readonly tuning: Tuning;
}
