import { invalidOption } from './errors.ts';
import { defaultPolicy, paperPolicy, type ThresholdPolicy, validatePolicy } from './tracker/index.ts';

/** Options of `enableSift`. */
export interface SiftOptions {
  /**
   * `'default'`: the threshold falls as 1/S, its level is learned; renormalised, shared in the KV group, newest and largest
   * rows kept. `'paper'`: exactly SiftAttention (arXiv 2506.05300).
   */
  mode?: 'default' | 'paper';
  /** Share of the rows each head drops, in [0, 1). 0: every row is kept. Default 0.875. */
  tau?: number;
  /** Decode steps that learn the thresholds (w). Default 64. */
  warmup?: number;
  /** A policy of your own; instead of `mode`, `tau` and `warmup`. */
  policy?: ThresholdPolicy;
  /**
   * `'shared'`: the KV cache of transformers.js is written in place, instead of being copied at every step; refused where that is
   * not proved to give the same result. `'stock'`: the runtime's own. Default: shared where it is proved.
   */
  cache?: 'shared' | 'stock';
  /** The GPUDevice the runtime uses, if the plugin cannot find it itself. */
  device?: GPUDevice;
}

const NAMES: readonly (keyof SiftOptions)[] = ['mode', 'tau', 'warmup', 'policy', 'cache', 'device'];

/**
 * Turns options into a policy.
 * @throws {SiftError} `INVALID_OPTION`, naming the option, its value and what is allowed.
 */
export function resolvePolicy(options: SiftOptions): ThresholdPolicy {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', options, 'an object');
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name as keyof SiftOptions))
      throw invalidOption(name, 'an unknown option', NAMES.join(', '));
  }
  const { mode = 'default', tau, warmup, policy } = options;
  if (policy !== undefined) {
    for (const name of ['mode', 'tau', 'warmup'] as const) {
      if (options[name] !== undefined) throw invalidOption(name, options[name], 'nothing beside `policy`');
    }
    return validatePolicy(policy);
  }
  if (mode !== 'default' && mode !== 'paper') throw invalidOption('mode', mode, "'default' or 'paper'");
  const given = { ...(tau === undefined ? {} : { tau }), ...(warmup === undefined ? {} : { warmup }) };
  return mode === 'paper' ? paperPolicy(given) : defaultPolicy(given);
}

/**
 * The KV cache that the options ask for; undefined: shared where it is proved.
 * @throws {SiftError} `INVALID_OPTION`
 */
export function resolveCache({ cache }: SiftOptions): SiftOptions['cache'] {
  if (cache !== undefined && cache !== 'shared' && cache !== 'stock') {
    throw invalidOption('cache', cache, "'shared' or 'stock'");
  }
  return cache;
}
