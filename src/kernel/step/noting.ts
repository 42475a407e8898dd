import { invalidOption, SiftError } from '../../errors.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { KernelName } from '../text/kernel.ts';
import { kernelOf } from '../text/kernels.ts';
import type { AttentionEncoder } from './encoder.ts';
import { compileKernels } from './kernel-set.ts';
import { policyKernels } from './step-kinds.ts';

/** Kernels that choose V rows, and can note which they read. */
const CHOOSING: readonly KernelName[] = ['sift', 'gather'];

/**
 * Compiles the kernels that note which V rows they read, so that steps of an encoder may have `notesReads`.
 *
 * @throws {SiftError} `INVALID_OPTION` if steps choose their rows by the shadow of K, `UNSUPPORTED_RUNTIME` if the device binds too few buffers
 *   or the kernels' text cannot be loaded, `SELF_TEST_FAILED` if a kernel does not compile
 */
export async function compileNoting(encoder: AttentionEncoder, policy: ThresholdPolicy): Promise<void> {
  const { noting, shape, resources, variant } = encoder;
  if (noting.kernels) return;
  const names = policyKernels(encoder.effective(policy), shape, variant.subgroupSize > 0);
  if (names.includes('shadow')) throw invalidOption('keys', 'shadow', "'exact' where steps are inspected");
  const choosing = CHOOSING.filter((name) => names.includes(name));
  const notes = { ...variant, notesReads: true };
  const most = resources.device.limits.maxStorageBuffersPerShaderStage;
  if (choosing.some((name) => kernelOf(name, notes, shape).buffers.length > most))
    throw new SiftError(
      'UNSUPPORTED_RUNTIME',
      `Steps cannot be inspected here: a kernel may bind ${most} buffers on this device, and needs one more to note which rows it reads.`,
    );
  noting.kernels = await compileKernels(resources.device, shape, notes, choosing);
}
