import { isDense, isLearned, type StepPlan, type ThresholdPolicy, usesMoments } from '../../policy/index.ts';
import { type AttentionShape, canSiftInOnePass } from '../shape.ts';
import type { KernelName } from '../text/kernel.ts';

/**
 * The kinds of decode steps. Each takes other kernels.
 *
 * - `dense`: every V row is read.
 * - `learn`: dense, and the exact threshold of the step is recorded.
 * - `sift`: one pass over the keys; rows are chosen by an estimate of the log-normaliser.
 * - `shadow`: as `sift`, but the rows are chosen by the shadow of K, and the exact K is read for them alone.
 * - `exact`: two passes; rows are chosen by the exact log-normaliser.
 * - `exactLearn`: exact, and the exact threshold of the step is recorded.
 */
export type StepKind = 'dense' | 'learn' | 'sift' | 'shadow' | 'exact' | 'exactLearn';

/**
 * The kernels of a step, in order. A runtime has two programs for an attention; each list replaces one of
 * them.
 */
export interface StepKernels {
  attend: readonly KernelName[];
  finish: readonly KernelName[];
}

const TWO_PASSES = ['scores', 'gather'] as const;

/** The kernels of a kind of step. Without subgroups a dense step is an exact step that keeps every row. */
export function stepKernels(kind: StepKind, subgroups: boolean): StepKernels {
  switch (kind) {
    case 'dense':
      return { attend: subgroups ? ['dense'] : TWO_PASSES, finish: ['combine'] };
    case 'learn':
      return { attend: subgroups ? ['denseLearn'] : TWO_PASSES, finish: ['learn'] };
    case 'sift':
      return { attend: ['sift'], finish: ['combine'] };
    case 'shadow':
      return { attend: ['shadow'], finish: ['combine'] };
    case 'exact':
      return { attend: TWO_PASSES, finish: ['combine'] };
    case 'exactLearn':
      return { attend: TWO_PASSES, finish: ['combine', 'learn'] };
  }
}

/**
 * Whether a policy sifts in one pass on a device: if its log-normaliser is estimated and the device and shape
 * allow it.
 */
function siftsInOnePass(policy: ThresholdPolicy, shape: AttentionShape, subgroups: boolean): boolean {
  return policy.normaliser === 'estimate' && canSiftInOnePass(shape, subgroups);
}

/** The kind of a step. */
export function stepKind(
  policy: ThresholdPolicy,
  plan: Pick<StepPlan, 'dense' | 'windowIndex'>,
  shape: AttentionShape,
  subgroups: boolean,
): StepKind {
  const learns = plan.windowIndex >= 0;
  if (plan.dense) return learns ? 'learn' : 'dense';
  if (learns) return 'exactLearn';
  return siftedKind(policy, shape, subgroups);
}

/** The kind of a policy's sifted steps that do not learn. */
function siftedKind(policy: ThresholdPolicy, shape: AttentionShape, subgroups: boolean): StepKind {
  if (!siftsInOnePass(policy, shape, subgroups)) return 'exact';
  return policy.keys === 'shadow' ? 'shadow' : 'sift';
}

/**
 * The kinds of steps that a policy may need on a device. Every policy needs dense ones, where sifting does
 * not pay.
 */
export function stepKinds(policy: ThresholdPolicy, shape: AttentionShape, subgroups: boolean): StepKind[] {
  if (isDense(policy)) return ['dense'];
  const sifted = siftedKind(policy, shape, subgroups);
  // Where there is no memory for the shadow, steps read all of K.
  if (sifted === 'shadow') return ['dense', 'sift', 'shadow'];
  if (!isLearned(policy)) return ['dense', sifted];
  return ['dense', 'learn', sifted, ...(policy.refitEvery > 0 ? (['exactLearn'] as const) : [])];
}

/** The kernels that a policy may use on a device. Only these are compiled. */
export function policyKernels(
  policy: ThresholdPolicy,
  shape: AttentionShape,
  subgroups: boolean,
): KernelName[] {
  const names = stepKinds(policy, shape, subgroups).flatMap((kind) => {
    const { attend, finish } = stepKernels(kind, subgroups);
    return [...attend, ...finish];
  });
  const shadowed = names.includes('shadow');
  if ((usesMoments(policy) || shadowed) && !isDense(policy)) names.push('moments');
  if (shadowed) names.push('encode');
  return [...new Set(names)];
}
