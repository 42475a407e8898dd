import { IdleSift } from './adapters/shared/idle-sift.ts';
import type { Sift } from './adapters/shared/sift.ts';
import { checkAdapter } from './adapters/shared/web-gpu.ts';
import { SiftError } from './errors.ts';
import { resolvePolicy, resolveUnsupported, type SiftOptions } from './options.ts';

/**
 * Enables sift in the way that the options ask for. It stands before every adapter.
 * @throws {SiftError} for options that are out of range; and what `enable` throws, unless the options say that it is to be ignored. The
 * signal's reason if it was aborted.
 */
export async function enabling(options: SiftOptions, enable: () => Promise<Sift>): Promise<Sift> {
  const policy = resolvePolicy(options);
  const ignore = resolveUnsupported(options) === 'ignore';
  try {
    return await enable();
  } catch (error) {
    if (!ignore || !(error instanceof SiftError) || options.signal?.aborted) throw error;
    // The caller's mistakes are not a matter of what is supported here.
    if (error.code === 'INVALID_OPTION' || error.code === 'DISPOSED') throw error;
    return new IdleSift(policy, error);
  }
}

/** What `isSupported` answers. */
export interface Support {
  /** Whether nothing is known to speak against it. */
  supported: boolean;
  /** What does, in a sentence. */
  reason: string | null;
}

/** The answer of a check that throws what speaks against it. */
export function supportOf(check: () => void): Support {
  try {
    check();
    return SUPPORTED;
  } catch (error) {
    return unsupported(error);
  }
}

/** Whether this browser has WebGPU and a GPU adapter that pages may use. No device is asked for, and nothing is kept. */
export function browserSupport(): Promise<Support> {
  return checkAdapter().then(() => SUPPORTED, unsupported);
}

const SUPPORTED: Support = { supported: true, reason: null };

function unsupported(error: unknown): Support {
  return { supported: false, reason: error instanceof Error ? error.message : String(error) };
}
