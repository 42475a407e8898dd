import { SiftError } from '../../errors.ts';
import type { AttentionShape } from '../shape.ts';
import { type Tuning, tuningOf } from '../step/tuning.ts';
import { CONTIGUOUS_KV, type KvLayout } from '../text/kv-layout.ts';
import type { KernelVariant } from '../text/variant.ts';

/**
 * Whether the subgroup kernels may be used: the feature is on, and every subgroup size the adapter may choose is a power
 * of two that divides the workgroup (so that no subgroup is partly filled).
 */
export function canUseSubgroups(device: GPUDevice): boolean {
  const info = device.adapterInfo as GPUAdapterInfo | undefined;
  const min = info?.subgroupMinSize ?? 0;
  const max = info?.subgroupMaxSize ?? 0;
  return device.features.has('subgroups') && min >= 4 && max <= 128 && (max & (max - 1)) === 0;
}

/** What may be asked of a variant, instead of what the device has. */
export interface VariantOptions {
  /** Use subgroup operations. */
  subgroups?: boolean;
  kv?: KvLayout;
  tuning?: Partial<Tuning>;
}

/** The fastest variant that a device has for a shape. */
export function fastestVariant(
  device: GPUDevice,
  { dtype }: AttentionShape,
  { subgroups = canUseSubgroups(device), kv = CONTIGUOUS_KV, tuning: changes }: VariantOptions = {},
): KernelVariant {
  const tuning = { ...tuningOf(device), ...changes };
  const halfScreen = subgroups && tuning.half && dtype === 'f16' && device.features.has('shader-f16');
  return { subgroupSize: subgroups ? device.adapterInfo.subgroupMinSize : 0, halfScreen, kv, tuning };
}

/** The variants that a device has for a shape, the fastest first: K screened in f16, with subgroups, without. */
export function kernelVariants(
  device: GPUDevice,
  shape: AttentionShape,
  kv: KvLayout = CONTIGUOUS_KV,
): KernelVariant[] {
  const fastest = fastestVariant(device, shape, { kv });
  const variants = [fastest];
  if (fastest.halfScreen) variants.push({ ...fastest, halfScreen: false });
  if (fastest.subgroupSize > 0) variants.push(fastestVariant(device, shape, { kv, subgroups: false }));
  return variants;
}

/**
 * What the first variant gives that passes its test.
 * @param attempt rejects with `SELF_TEST_FAILED` where a variant does not pass; any other error ends the search.
 * @throws {SiftError} `SELF_TEST_FAILED` of the last variant if none passes.
 */
export async function firstProven<T>(
  variants: readonly KernelVariant[],
  attempt: (variant: KernelVariant) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (const variant of variants) {
    try {
      return await attempt(variant);
    } catch (error) {
      if (!(error instanceof SiftError) || error.code !== 'SELF_TEST_FAILED') throw error;
      failure = error;
    }
  }
  throw failure;
}
