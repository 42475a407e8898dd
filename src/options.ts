import type { EnableProgress } from './adapters/shared/progress.ts';
import { invalidOption } from './errors.ts';
import { checkNames } from './option-checks.ts';
import {
  KEYS,
  type Keys,
  learnedPolicy,
  paperPolicy,
  presetPolicy,
  QUALITIES,
  type Quality,
  type ThresholdPolicy,
  validatePolicy,
} from './policy/index.ts';

/** Options of `enableSift`. */
export interface SiftOptions {
  /**
   * How much may be left out: `'exact'` reads every row, `'high'`, `'balanced'` and `'fast'` fewer and fewer V rows, from the first
   * decode step on. Default `'balanced'`.
   */
  quality?: Quality | undefined;
  /**
   * What the scores come from that decide which rows are read. `'exact'` (the default): all of K. `'shadow'`: a copy of K with 2 bits an
   * element, which takes 6.6% more memory; K and V are then read only where they count, about a sixth of their bytes. It is for long texts
   * on GPUs whose memory is slow (docs/lab/shadow.md). Beside `quality`, and with the KV caches of transformers.js.
   */
  keys?: Keys | undefined;
  /**
   * Instead of `quality`: thresholds that are learned in the first decode steps, which keep every row. `'paper'`: exactly
   * SiftAttention (arXiv 2506.05300). `'learned'`: its level alone is learned and falls as 1/S; renormalised, shared in the KV group,
   * newest and largest rows kept; the mode where `tau` or `warmup` are given without one.
   */
  mode?: 'learned' | 'paper' | undefined;
  /** Share of the rows each head drops, in [0, 1), of thresholds that are learned. 0: every row is kept. Default 0.875. */
  tau?: number | undefined;
  /** Decode steps that learn the thresholds (w). Default 64. */
  warmup?: number | undefined;
  /** A policy of your own; instead of `quality`, `mode`, `tau` and `warmup`. */
  policy?: ThresholdPolicy | undefined;
  /**
   * `'shared'`: the KV cache of transformers.js is written in place, instead of being copied at every step; refused where that is
   * not proved to give the same result. `'stock'`: the runtime's own. Default: shared where it is proved.
   */
  cache?: 'shared' | 'stock' | undefined;
  /**
   * Keys in the cache from which steps sift; shorter ones read every row. `'auto'` (the default): measured once on this device, so that
   * sifting is not slower than our dense attention. 0: always.
   */
  siftFrom?: SiftFrom | undefined;
  /** The GPUDevice the runtime uses, if the plugin cannot find it itself. */
  device?: GPUDevice | undefined;
  /**
   * What to do where sift cannot work: with this browser, model or runtime. `'throw'` (the default): a {@link SiftError}. `'ignore'`: the
   * pipeline stays as it is, and the {@link Sift} that is returned is off and says why in `unsupported`.
   */
  onUnsupported?: 'throw' | 'ignore' | undefined;
  /** Is told what `enableSift` is doing, for a bar of progress: it may take seconds where nothing has been compiled before. */
  onProgress?: ((progress: EnableProgress) => void) | undefined;
  /**
   * Ends the enabling when it is aborted, for a user who leaves. All that was set up is taken down, the model works as before, and
   * `enableSift` may be called again. Then the promise rejects with the signal's reason, which is an `AbortError` unless the caller gives
   * another, and not with a {@link SiftError}, whatever `onUnsupported` is. What is under way is ended first: a run of the model, the
   * test of a kernel, or a measurement. Once `enableSift` has resolved, the signal does nothing: `sift.dispose()` does.
   *
   * ```ts
   * const leaving = new AbortController();
   * button.onclick = () => leaving.abort();
   * const sift = await enableSift(generator, { signal: leaving.signal });
   * ```
   */
  signal?: AbortSignal | undefined;
}

/** A number of keys, or measured. */
export type SiftFrom = 'auto' | number;

const NAMES: readonly (keyof SiftOptions)[] = [
  'quality',
  'keys',
  'mode',
  'tau',
  'warmup',
  'policy',
  'cache',
  'siftFrom',
  'device',
  'onUnsupported',
  'onProgress',
  'signal',
];

/**
 * Turns options into a policy.
 * @throws {SiftError} `INVALID_OPTION`, naming the option, its value and what is allowed.
 */
export function resolvePolicy(options: SiftOptions): ThresholdPolicy {
  checkNames(options, NAMES);
  const { quality, keys, mode, tau, warmup, policy } = options;
  const alone = (
    chosen: 'policy' | 'quality' | 'keys',
    others: readonly ('quality' | 'keys' | 'mode' | 'tau' | 'warmup')[],
  ) => {
    for (const name of others) {
      if (options[name] !== undefined)
        throw invalidOption(name, options[name], `nothing beside \`${chosen}\``);
    }
  };
  if (policy !== undefined) {
    alone('policy', ['quality', 'keys', 'mode', 'tau', 'warmup']);
    return validatePolicy(policy);
  }
  if (keys !== undefined) {
    if (!KEYS.includes(keys)) throw invalidOption('keys', keys, KEYS.map((name) => `'${name}'`).join(', '));
    alone('keys', ['mode', 'tau', 'warmup']);
    if (keys === 'shadow' && quality === 'exact')
      throw invalidOption('keys', keys, "'exact' beside `quality: 'exact'`, which reads every row");
  }
  if (quality !== undefined) {
    alone('quality', ['mode', 'tau', 'warmup']);
    if (!QUALITIES.includes(quality)) {
      throw invalidOption('quality', quality, QUALITIES.map((name) => `'${name}'`).join(', '));
    }
    return presetPolicy(quality, keys);
  }
  if (mode === undefined && tau === undefined && warmup === undefined) return presetPolicy('balanced', keys);
  if (mode !== undefined && mode !== 'learned' && mode !== 'paper') {
    throw invalidOption('mode', mode, "'learned' or 'paper'");
  }
  return mode === 'paper' ? paperPolicy({ tau, warmup }) : learnedPolicy({ tau, warmup });
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

/**
 * From which length on steps sift.
 * @throws {SiftError} `INVALID_OPTION`
 */
export function resolveSiftFrom({ siftFrom = 'auto' }: SiftOptions): SiftFrom {
  if (siftFrom === 'auto' || siftFrom === Number.POSITIVE_INFINITY) return siftFrom;
  if (!Number.isInteger(siftFrom) || siftFrom < 0) {
    throw invalidOption('siftFrom', siftFrom, "'auto', an integer of at least 0, or Infinity");
  }
  return siftFrom;
}

/**
 * What to do where sift cannot work.
 * @throws {SiftError} `INVALID_OPTION`
 */
export function resolveUnsupported({ onUnsupported = 'throw' }: SiftOptions): 'throw' | 'ignore' {
  if (onUnsupported === 'throw' || onUnsupported === 'ignore') return onUnsupported;
  throw invalidOption('onUnsupported', onUnsupported, "'throw' or 'ignore'");
}

/**
 * Who is told how far `enableSift` has come.
 * @throws {SiftError} `INVALID_OPTION`
 */
export function resolveProgress({ onProgress }: SiftOptions): SiftOptions['onProgress'] {
  if (onProgress === undefined || typeof onProgress === 'function') return onProgress;
  throw invalidOption('onProgress', onProgress, 'a function');
}
