// What every entry of the package has: its errors and its policies.
export { SiftError, type SiftErrorCode } from './errors.ts';
export {
  type Axis,
  type Dropped,
  type Exponent,
  type Keys,
  learnedPolicy,
  type Normaliser,
  paperPolicy,
  presetPolicy,
  probabilityPolicy,
  type Quality,
  type Target,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from './policy/index.ts';
