export {
  CODE_STEP,
  ESTIMATE_KEYS,
  GUARD,
  hadamardSize,
  LARGEST_SCALE,
  LINEAR_GAIN,
  MOMENT_GROWTH,
  MOMENT_ROWS,
} from './constants.ts';
export {
  learnedPolicy,
  paperPolicy,
  probabilityPolicy,
  type QuantileOptions,
  uniformPolicy,
} from './policies.ts';
export {
  type Axis,
  type Dropped,
  type Exponent,
  isDense,
  isLearned,
  KEYS,
  type Keys,
  MIN_POINTS,
  type Normaliser,
  type Target,
  type ThresholdPolicy,
  usesMoments,
  withExactKeys,
} from './policy.ts';
export { presetPolicy, QUALITIES, type Quality } from './presets.ts';
export { measuresWindow, planStep, type StepPlan } from './step-plan.ts';
export { MAX_WARMUP, validatePolicy } from './validate.ts';
