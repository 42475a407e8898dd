import { probabilityPolicy, uniformPolicy } from './policies.ts';
import type { ThresholdPolicy } from './policy.ts';

/**
 * How close to exact attention, against how many V rows are read. Measured on a model of 20M parameters, 4,096 tokens of prompt
 * and 1,024 steps (docs/quality.md has the figures, and others).
 */
export type Quality = 'exact' | 'high' | 'balanced' | 'fast';

/** Rows with p >= c / S are read. */
const LEVELS: Readonly<Record<Exclude<Quality, 'exact'>, number>> = { high: 1, balanced: 2.5, fast: 5 };

export const QUALITIES: readonly Quality[] = ['exact', 'high', 'balanced', 'fast'];

/** The policy of a preset; `'exact'` reads every row. */
export function presetPolicy(quality: Quality): ThresholdPolicy {
  if (quality === 'exact') return { ...probabilityPolicy({ p: 0 }), name: quality };
  return { ...uniformPolicy({ c: LEVELS[quality] }), name: quality };
}
