import {
  type Exponent,
  learnedPolicy,
  paperPolicy,
  presetPolicy,
  type Quality,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from '../../src/index.ts';

/** A policy and the text that named it. */
export interface NamedPolicy {
  name: string;
  policy: ThresholdPolicy;
}

export const POLICY_SYNTAX = `KIND:VALUE[,key=value...]
  KIND     paper | learned (VALUE: tau), mass (epsilon), uniform (c of c/S), probability (p), preset (high, balanced, fast)
  keys     warmup, refitEvery (steps); axis=step|length; exponent=free|NUMBER|prior, variance (of the prior);
           dropped=none|renormalise|mean|linear; normaliser=exact|estimate; keys=exact|shadow; shareGroup, keepNewest, keepLargest, guard = on|off
  example  mass:0.05,dropped=none,exponent=prior,variance=0.04`;

const FLAGS = ['shareGroup', 'keepNewest', 'keepLargest', 'guard'] as const;

function base(kind: string, value: number): ThresholdPolicy {
  switch (kind) {
    case 'paper':
      return paperPolicy({ tau: value });
    case 'learned':
      return learnedPolicy({ tau: value });
    case 'mass':
      return { ...learnedPolicy(), name: 'mass', target: { kind: 'mass', epsilon: value } };
    case 'uniform':
      return uniformPolicy({ c: value });
    case 'probability':
      return {
        ...learnedPolicy(),
        name: 'probability',
        warmup: 0,
        guard: false,
        refitEvery: 0,
        target: { kind: 'probability', p: value },
      };
    default:
      throw new Error(`"${kind}" is no kind of policy. Policies: ${POLICY_SYNTAX}`);
  }
}

function exponentOf(text: string, variance: string | undefined): Exponent {
  if (text === 'free') return { kind: 'free' };
  if (text === 'prior') return { kind: 'prior', beta: -1, variance: Number(variance ?? 0.04) };
  return { kind: 'fixed', beta: Number(text) };
}

/**
 * The policy that a text names, see {@link POLICY_SYNTAX}.
 * @throws Error for an unknown kind or key, SiftError INVALID_OPTION for a value out of range.
 */
export function parsePolicy(text: string): NamedPolicy {
  const [head = '', ...pairs] = text.split(',');
  const [kind = '', value = ''] = head.split(':');
  const given = new Map(pairs.map((pair) => pair.split('=') as [string, string]));
  const take = (key: string): string | undefined => {
    const found = given.get(key);
    given.delete(key);
    return found;
  };
  const keys = take('keys') ?? 'exact';
  // A preset has another level with the shadow.
  const policy: Record<string, unknown> = {
    ...(kind === 'preset'
      ? presetPolicy(value as Quality, keys as NonNullable<ThresholdPolicy['keys']>)
      : base(kind, value === '' ? Number.NaN : Number(value))),
  };
  if (value !== 'exact') policy.keys = keys;
  for (const key of ['warmup', 'refitEvery']) {
    const number = take(key);
    if (number !== undefined) policy[key] = Number(number);
  }
  for (const key of FLAGS) {
    const flag = take(key);
    if (flag === undefined) continue;
    if (flag !== 'on' && flag !== 'off') throw new Error(`${key} is "${flag}"; it is on or off.`);
    policy[key] = flag === 'on';
  }
  for (const key of ['axis', 'dropped', 'normaliser']) policy[key] = take(key) ?? policy[key];
  const exponent = take('exponent');
  const variance = take('variance');
  if (exponent !== undefined) policy.exponent = exponentOf(exponent, variance);
  else if (variance !== undefined) throw new Error('variance goes with exponent=prior.');
  if (given.size > 0)
    throw new Error(`"${[...given.keys()].join(', ')}" is unknown. Policies: ${POLICY_SYNTAX}`);
  return { name: text, policy: validatePolicy(policy as unknown as ThresholdPolicy) };
}
