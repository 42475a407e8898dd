import type { SiftOptions } from '../../options.ts';
import type { Sift } from '../shared/sift.ts';
import { compare } from './compare.ts';
import { COMPARISONS, enableWebLlm as enable } from './enable.ts';

/** As {@link enable}, with comparisons at hand: whoever has loaded what is for web-llm loads nothing more. */
export function enableWebLlm(target: unknown, options: SiftOptions): Promise<Sift> {
  COMPARISONS.part = { compare };
  return enable(target, options);
}
