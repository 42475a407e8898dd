import { SiftError } from '../errors.ts';
import { canUseSubgroups } from './pipelines.ts';
import type { AttentionShape } from './shape.ts';
import { type Tuning, tuningOf } from './tuning.ts';

/** A way to run the kernels of a shape. */
export interface KernelWay {
  subgroups: boolean;
  tuning: Tuning;
}

/** The ways that a device has for a shape, the fastest first: with subgroups and K screened in f16, with subgroups, without. */
export function kernelWays(device: GPUDevice, { dtype }: AttentionShape): KernelWay[] {
  const tuning = tuningOf(device);
  const whole = { ...tuning, half: false };
  if (!canUseSubgroups(device)) return [{ subgroups: false, tuning: whole }];
  const screens = tuning.half && dtype === 'f16' && device.features.has('shader-f16');
  return [
    ...(screens ? [{ subgroups: true, tuning }] : []),
    { subgroups: true, tuning: whole },
    { subgroups: false, tuning: whole },
  ];
}

/**
 * What the first way gives that passes its test.
 * @param attempt rejects with `SELF_TEST_FAILED` where a way does not pass; any other error ends the search.
 * @throws {SiftError} `SELF_TEST_FAILED` of the last way if none passes.
 */
export async function firstProven<T>(
  ways: readonly KernelWay[],
  attempt: (way: KernelWay) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (const way of ways) {
    try {
      return await attempt(way);
    } catch (error) {
      if (!(error instanceof SiftError) || error.code !== 'SELF_TEST_FAILED') throw error;
      failure = error;
    }
  }
  throw failure;
}
