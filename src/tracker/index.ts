export type { GuardReason } from './guard.ts';
export { GUARD } from './guard.ts';
export type {
  Axis,
  Dropped,
  Exponent,
  Normaliser,
  QuantileOptions,
  Target,
  ThresholdPolicy,
} from './policy.ts';
export {
  isDense,
  isLearned,
  LINEAR_GAIN,
  learnedPolicy,
  MOMENT_GROWTH,
  paperPolicy,
  probabilityPolicy,
  uniformPolicy,
  usesMoments,
} from './policy.ts';
export { MAX_WARMUP, MIN_POINTS, validatePolicy } from './policy-validate.ts';
export type { FitFailure, PowerLawFit } from './powerlaw.ts';
export { clampedLog, clampLogThreshold, evaluatePowerLaw, fitPowerLaw, LOG_FLOOR } from './powerlaw.ts';
export { presetPolicy, QUALITIES, type Quality } from './presets.ts';
export { massThreshold, quantile, quantileIndex } from './quantile.ts';
export { keyToBits, orderedKey } from './select.ts';
export type { Position, SessionShape } from './session.ts';
export { SessionTracker } from './session.ts';
export { ThresholdTracker } from './tracker.ts';
