import { probabilityPolicy, uniformPolicy } from './policies.ts';
import type { ThresholdPolicy } from './policy.ts';

/** The presets, from the one that reads most. */
export const QUALITIES = ['exact', 'high', 'balanced', 'fast'] as const;

/**
 * How close to exact attention, against how many V rows are read. Measured on a model of 21M parameters, 4,096 tokens of prompt
 * and 1,024 steps (docs/quality.md has the figures, and others).
 */
export type Quality = (typeof QUALITIES)[number];

/** Rows with p >= c / S are read. */
const LEVELS: Readonly<Record<Exclude<Quality, 'exact'>, number>> = { high: 1, balanced: 2.5, fast: 5 };

/** The policy of a preset; `'exact'` reads every row. */
export function presetPolicy(quality: Quality): ThresholdPolicy {
  if (quality === 'exact') return { ...probabilityPolicy({ p: 0 }), name: quality };
  return { ...uniformPolicy({ c: LEVELS[quality] }), name: quality };
}
