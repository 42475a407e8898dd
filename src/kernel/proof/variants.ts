import { SiftError } from '../../errors.ts';
import type { AttentionShape } from '../shape.ts';
import { type Tuning, tuningOf } from '../step/tuning.ts';
import { CONTIGUOUS_KV, type KvLayout } from '../text/kv-layout.ts';
import type { KernelVariant } from '../text/variant.ts';

/**
 * Whether the kernels with subgroups may be used. The device must have the feature, and every subgroup size
 * that it may choose must be a power of two from 4 to 128. Such sizes divide the workgroups, so that no
 * subgroup is partly filled.
 */
export function canUseSubgroups(device: GPUDevice): boolean {
  const info = device.adapterInfo as GPUAdapterInfo | undefined;
  const min = info?.subgroupMinSize ?? 0;
  const max = info?.subgroupMaxSize ?? 0;
  return device.features.has('subgroups') && min >= 4 && max <= 128 && (max & (max - 1)) === 0;
}

/** Choices for a variant that replace what follows from the device. */
export interface VariantOptions {
  /** Whether to use subgroup operations. */
  subgroups?: boolean | undefined;
  /** Default: contiguous. */
  kv?: KvLayout | undefined;
  /** Changes to the device's tuning. */
  tuning?: Partial<Tuning> | undefined;
}

/** Whether the browser's WGSL has products of four signed bytes. It is a feature of the language, which every device of a browser has. */
function hasPackedDot(): boolean {
  const gpu = typeof navigator === 'undefined' ? undefined : (navigator.gpu as GPU | undefined);
  return gpu?.wgslLanguageFeatures?.has('packed_4x8_integer_dot_product') ?? false;
}

/** The fastest variant of the kernels that a device can run for a shape. */
export function fastestVariant(
  device: GPUDevice,
  { dtype }: AttentionShape,
  { subgroups = canUseSubgroups(device), kv = CONTIGUOUS_KV, tuning: changes }: VariantOptions = {},
): KernelVariant {
  const tuning = { ...tuningOf(device), ...changes };
  const halfScreen = subgroups && tuning.half && dtype === 'f16' && device.features.has('shader-f16');
  const packedDot = hasPackedDot();
  return {
    subgroupSize: subgroups ? device.adapterInfo.subgroupMinSize : 0,
    halfScreen,
    packedDot,
    kv,
    tuning,
  };
}

/**
 * The variants that a device can run for a shape, the fastest first: with K screened in f16, with subgroups,
 * and without subgroups.
 */
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
 * Tries variants in order, and returns what the first gives that passes its test.
 *
 * @param attempt tests a variant. If it rejects with `SELF_TEST_FAILED`, the next variant is tried; any other
 *   error ends the search.
 * @throws {SiftError} `SELF_TEST_FAILED` of the last variant if none passes
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
