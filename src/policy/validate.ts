import { invalidOption } from '../errors.ts';
import {
  type Dropped,
  type Exponent,
  KEYS,
  MIN_POINTS,
  type Normaliser,
  type Target,
  type ThresholdPolicy,
} from './policy.ts';

const DROPPED: readonly Dropped[] = ['none', 'renormalise', 'mean', 'linear'];
const NORMALISERS: readonly Normaliser[] = ['exact', 'estimate'];

/** The longest warm-up, in decode steps. */
export const MAX_WARMUP = 4096;

function checkNumber(option: string, value: unknown, ok: (x: number) => boolean, allowed: string): void {
  if (typeof value !== 'number' || !ok(value)) throw invalidOption(option, value, allowed);
}

function checkInteger(option: string, value: unknown, min: number, max: number): void {
  const ok = (x: number) => Number.isInteger(x) && x >= min && x <= max;
  checkNumber(option, value, ok, `an integer in ${min}..${max}`);
}

const inUnit = (x: number) => x >= 0 && x < 1;

function checkTarget(target: Target): void {
  const kind: unknown = target?.kind;
  const unit = 'a number in [0, 1); 0 is dense';
  switch (target?.kind) {
    case 'quantile':
      checkNumber('tau', target.tau, inUnit, unit);
      break;
    case 'mass':
      checkNumber('epsilon', target.epsilon, inUnit, unit);
      break;
    case 'uniform':
      checkNumber('c', target.c, (x) => x >= 0 && x < Infinity, 'a finite number >= 0; 0 is dense');
      break;
    case 'probability':
      checkNumber('p', target.p, inUnit, unit);
      break;
    default:
      throw invalidOption('target.kind', kind, "'quantile', 'mass', 'uniform' or 'probability'");
  }
}

function checkExponent(exponent: Exponent): void {
  const kind: unknown = exponent?.kind;
  if (kind !== 'free' && kind !== 'fixed' && kind !== 'prior') {
    throw invalidOption('exponent.kind', kind, "'free', 'fixed' or 'prior'");
  }
  if (exponent.kind === 'free') return;
  checkNumber('exponent.beta', exponent.beta, (x) => x <= 0 && x > -Infinity, 'a finite number <= 0');
  if (exponent.kind === 'fixed') return;
  const spread = (x: number) => x > 0 && x < Infinity;
  checkNumber('exponent.variance', exponent.variance, spread, 'a finite number > 0');
}

/**
 * Checks every field of a policy, and returns it frozen. Use it for members of the family that have no
 * constructor: `validatePolicy({ ...learnedPolicy(), name: 'mass', target: { kind: 'mass', epsilon: 0.02 } })`.
 *
 * A learned target needs a warm-up of at least 2 steps with a free exponent, 3 with a prior, 1 with a fixed one,
 * and `refitEvery` of 0 or at least as many.
 *
 * @throws SiftError INVALID_OPTION, naming the first field that is wrong
 */
export function validatePolicy(policy: ThresholdPolicy): ThresholdPolicy {
  if (typeof policy !== 'object' || policy === null) throw invalidOption('policy', policy, 'an object');
  if (typeof policy.name !== 'string' || policy.name === '') {
    throw invalidOption('name', policy.name, 'a string that is not empty');
  }
  checkTarget(policy.target);
  checkExponent(policy.exponent);
  if (policy.axis !== 'step' && policy.axis !== 'length') {
    throw invalidOption('axis', policy.axis, "'step' or 'length'");
  }
  const learned = policy.target.kind === 'quantile' || policy.target.kind === 'mass';
  const points = learned ? MIN_POINTS[policy.exponent.kind] : 0;
  checkInteger('warmup', policy.warmup, points, MAX_WARMUP);
  if (policy.refitEvery !== 0) {
    const refits = (x: number) => Number.isInteger(x) && x >= Math.max(1, points);
    const allowed = `0 for one fit per request, or an integer >= ${Math.max(1, points)}`;
    checkNumber('refitEvery', policy.refitEvery, refits, allowed);
  }
  if (!DROPPED.includes(policy.dropped)) {
    throw invalidOption('dropped', policy.dropped, DROPPED.map((name) => `'${name}'`).join(', '));
  }
  if (!NORMALISERS.includes(policy.normaliser)) {
    throw invalidOption('normaliser', policy.normaliser, NORMALISERS.map((name) => `'${name}'`).join(', '));
  }
  if (policy.normaliser === 'estimate' && policy.keepLargest) {
    throw invalidOption(
      'keepLargest',
      true,
      "false with normaliser 'estimate': one pass does not know the largest row",
    );
  }
  if (!KEYS.includes(policy.keys)) {
    throw invalidOption('keys', policy.keys, KEYS.map((name) => `'${name}'`).join(', '));
  }
  if (policy.keys === 'shadow' && (learned || policy.normaliser !== 'estimate' || !policy.shareGroup)) {
    throw invalidOption(
      'keys',
      policy.keys,
      "'exact', unless the target is 'uniform' or 'probability', normaliser is 'estimate' and shareGroup is true",
    );
  }
  for (const flag of ['shareGroup', 'keepNewest', 'keepLargest', 'guard'] as const) {
    if (typeof policy[flag] !== 'boolean') throw invalidOption(flag, policy[flag], 'true or false');
  }
  const target = Object.freeze({ ...policy.target });
  const exponent = Object.freeze({ ...policy.exponent });
  return Object.freeze({ ...policy, target, exponent });
}
