import { siftedWorkgroups } from '../../kernel/calibration/calibrate.ts';
import { applyCalibration, calibration } from '../../kernel/calibration/calibration-store.ts';
import { describeShape } from '../../kernel/shape.ts';
import type { AttentionEncoder } from '../../kernel/step/encoder.ts';
import type { SiftFrom } from '../../options.ts';
import { isDense, type ThresholdPolicy } from '../../policy/index.ts';
import type { CrossoverReport } from '../../report.ts';

/**
 * Sets the length from which an encoder sifts, and what was measured with it. This is done while sift is enabled: the kernels have just
 * been compiled and run by the self-test, the runtime leaves the GPU alone, and the caller waits anyway. In the first steps of a
 * generation, times would be those of the model's work, and a token would be late.
 *
 * A length that is given is taken as it is: nothing is measured, so that runs can be repeated to the bit.
 *
 * @param pageSize keys of a page where the encoder's cache is paged
 */
export async function setCrossover(
  encoder: AttentionEncoder,
  asked: ThresholdPolicy,
  siftFrom: SiftFrom,
  pageSize?: number,
): Promise<CrossoverReport> {
  const policy = encoder.effective(asked);
  const found = siftFrom === 'auto' ? await calibration(encoder, policy, pageSize) : undefined;
  if (found) applyCalibration(encoder, policy, found);
  else encoder.siftFrom = siftFrom as number;
  const { workgroups, [siftedWorkgroups(policy)]: siftWorkgroups } = encoder.tuning;
  return {
    shape: describeShape(encoder.shape),
    siftFrom: isDense(policy) || !Number.isFinite(encoder.siftFrom) ? null : encoder.siftFrom,
    source: found?.source ?? 'given',
    samples: found?.samples ?? [],
    workgroups,
    siftWorkgroups,
    milliseconds: found?.milliseconds ?? 0,
  };
}

/** Numbers of keys as they are written. Formatting one takes longer than all else that a step counts, and there are only a few. */
const written = new Map<number, string>();

function keys(count: number): string {
  const known = written.get(count) ?? `${count.toLocaleString('en')} keys`;
  written.set(count, known);
  return known;
}

/** Why a step read every row although its policy would have dropped some. */
export function shortReason(siftFrom: number, option: SiftFrom): string {
  if (option !== 'auto') return `shorter than siftFrom (${keys(siftFrom)})`;
  return Number.isFinite(siftFrom)
    ? `shorter than ${keys(siftFrom)}, from which sifting is faster on this device`
    : 'sifting is not faster on this device at the lengths that were measured';
}
