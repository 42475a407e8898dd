import type { Tuning } from '../step/tuning.ts';
import type { KvLayout } from './kv-layout.ts';

/** Which form of the kernels is assembled: what a device has, and how its cache lies. */
export interface KernelVariant {
  /** Invocations that a subgroup has at least; 0: no subgroup operations. */
  readonly subgroupSize: number;
  /** K is screened in f16 by the one-pass kernel: for f16 caches on devices with shader-f16. */
  readonly halfScreen: boolean;
  readonly kv: KvLayout;
  readonly tuning: Tuning;
}
