import { probabilityPolicy, uniformPolicy } from './policies.ts';
import type { Keys, ThresholdPolicy } from './policy.ts';
import { validatePolicy } from './validate.ts';

/** The presets, from the one that reads most. */
export const QUALITIES = ['exact', 'high', 'balanced', 'fast'] as const;

/**
 * How close to exact attention, against how many V rows are read. Measured on a model of 21M parameters, 4,096 tokens of prompt
 * and 1,024 steps (docs/quality.md has the figures, and others).
 */
export type Quality = (typeof QUALITIES)[number];

/**
 * Rows with p >= c / S are read. With the shadow, whose scores are not exact, the levels are lower, so that each preset stays as close to
 * exact attention.
 */
const LEVELS: Readonly<Record<Keys, Readonly<Record<Exclude<Quality, 'exact'>, number>>>> = {
  exact: { high: 1, balanced: 2.5, fast: 5 },
  shadow: { high: 1.5, balanced: 2, fast: 3.5 },
};

/**
 * The policy of a preset; `'exact'` reads every row, whatever `keys` says.
 *
 * @param keys what the scores come from that decide which rows are read
 */
export function presetPolicy(quality: Quality, keys: Keys = 'exact'): ThresholdPolicy {
  if (quality === 'exact') return { ...probabilityPolicy({ p: 0 }), name: quality };
  return validatePolicy({ ...uniformPolicy({ c: LEVELS[keys][quality] }), name: quality, keys });
}
