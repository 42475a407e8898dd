// Attention and thresholds in f64, without a GPU: what the kernels are held against, in tests and by the self-test on the user's device.
// The plugin does not find its thresholds here: that happens on the GPU (wgsl/learn).
export {
  type AttentionScores,
  attentionScores,
  type DenseAttention,
  denseAttention,
} from './attention.ts';
export type { GuardReason } from './guard.ts';
export type { AttentionInputs } from './inputs.ts';
export {
  clampedLog,
  clampLogThreshold,
  evaluatePowerLaw,
  type FitFailure,
  fitPowerLaw,
  LOG_FLOOR,
  type PowerLawFit,
} from './powerlaw.ts';
export { massThreshold, quantile, quantileIndex } from './quantile.ts';
export { createRandom, type Random } from './random.ts';
export { keyToBits, orderedKey } from './select.ts';
export { type Position, type SessionShape, SessionTracker } from './session-tracker.ts';
export { encodeRow, type ShadowStatistics, shadowStatistics } from './shadow.ts';
export {
  type AttentionBytes,
  judgedLogProbabilities,
  type SiftedAttention,
  type SiftedAttentionOptions,
  shadowLogProbabilities,
  siftedAttention,
} from './sifted.ts';
export { ThresholdTracker } from './threshold-tracker.ts';
