export type { Axis, Exponent, QuantileOptions, Target, ThresholdPolicy } from './policy.ts';
export {
  defaultPolicy,
  isDense,
  isLearned,
  paperPolicy,
  probabilityPolicy,
  uniformPolicy,
} from './policy.ts';
export { MAX_WARMUP, MIN_POINTS, validatePolicy } from './policy-validate.ts';
