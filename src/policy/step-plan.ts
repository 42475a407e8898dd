import { MOMENT_GROWTH, MOMENT_WINDOW_PARTS } from './constants.ts';
import { isDense, isLearned, type ThresholdPolicy, usesMoments } from './policy.ts';

/** What one decode step does with the thresholds. */
export interface StepPlan {
  /** Decode step after the prompt: 1 for the first generated token. */
  step: number;
  /** Every row is kept. */
  dense: boolean;
  /** Place in the learning window where this step's threshold is recorded, or -1. */
  windowIndex: number;
  /** The window is full after this step: the power law is fitted. */
  fit: boolean;
  /** The mean V row and the covariance of V are measured before this step. */
  measure: boolean;
}

/**
 * Whether a cache of `length` keys, one more with every decode step, is at this step the first time longer by another factor
 * {@link MOMENT_GROWTH} than at the first step.
 */
function hasGrown(step: number, length: number): boolean {
  const first = Math.max(1, length - step + 1);
  const times = (keys: number) => Math.floor(Math.log(keys / first) / Math.log(MOMENT_GROWTH));
  return length > first && times(length) > times(length - 1);
}

/**
 * What the policy asks of a decode step.
 *
 * Warm-up steps are dense and recorded. With `refitEvery`, later windows are recorded while sifting goes on: the scores are exact in any
 * case, so that learning again costs no V rows. The moments of V are measured before the first step and, with `refitEvery`, again after
 * so many steps and whenever the cache has grown by a tenth.
 *
 * @param step decode steps since the prompt, this one among them
 * @param length keys in the cache, this step's among them; left out, growth is not looked at
 * @param missed steps that should have recorded a threshold and did not: learning goes on where it stopped, so many steps later
 */
export function planStep(policy: ThresholdPolicy, step: number, length = 0, missed = 0): StepPlan {
  if (isDense(policy)) return { step, dense: true, windowIndex: -1, fit: false, measure: false };
  const { warmup, refitEvery } = policy;
  const again = refitEvery > 0 && ((step - 1) % refitEvery === 0 || hasGrown(step, length));
  const measure = usesMoments(policy) && (step === 1 || again);
  if (!isLearned(policy)) return { step, dense: step <= warmup, windowIndex: -1, fit: false, measure };
  const learned = step - missed;
  // The fit that this step may belong to is due at `due`, and learns from the `window` steps up to it.
  const later = refitEvery > 0 ? Math.max(0, Math.ceil((learned - warmup) / refitEvery)) : 0;
  const due = warmup + later * refitEvery;
  const window = later === 0 ? warmup : Math.min(warmup, refitEvery);
  const windowIndex = learned > due ? -1 : learned - (due - window) - 1;
  return {
    step,
    dense: learned <= warmup,
    windowIndex: Math.max(-1, windowIndex),
    fit: windowIndex >= 0 && learned === due,
    measure,
  };
}

/**
 * Whether a step measures the moments of V in layers whose keys are a sliding window, besides where its plan says so. The plan looks at the
 * growth of the cache, and is one for all layers. But a full window does not grow: each step brings a row into it and takes one out. So
 * the moments are measured again whenever the window has moved on by a part {@link MOMENT_WINDOW_PARTS} of its size. That shows in the row
 * at which it begins, so that nothing has to be remembered for each layer.
 *
 * @param firstKey the row of the cache at which the window begins; 0: everything lies in it
 * @param length keys in the window
 */
export function measuresWindow(policy: ThresholdPolicy, firstKey: number, length: number): boolean {
  if (firstKey === 0 || policy.refitEvery === 0 || isDense(policy) || !usesMoments(policy)) return false;
  return firstKey % Math.max(1, Math.floor(length / MOMENT_WINDOW_PARTS)) === 0;
}
