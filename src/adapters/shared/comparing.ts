// What comparisons of both runtimes have in common. It is loaded with the first comparison.
import type { ComparedRun, CompareOptions, Comparison } from '../../comparison.ts';
import { invalidOption, SiftError } from '../../errors.ts';
import { checkNames, checkSignal } from '../../option-checks.ts';
import type { Conversation } from './conversation.ts';
import { queued } from './enabling-queue.ts';
import type { LifeCycle } from './life-cycle.ts';
import { median } from './median.ts';

/** The options, checked, with defaults. */
export interface ComparePlan {
  count: number;
  divergence: boolean;
  signal: AbortSignal | undefined;
}

const NAMES = ['maxNewTokens', 'divergence', 'signal'] as const;
const DEFAULT_TOKENS = 64;

function planOf(options: CompareOptions): ComparePlan {
  checkNames(options, NAMES);
  const { maxNewTokens: count = DEFAULT_TOKENS, divergence = true, signal } = options;
  if (!Number.isInteger(count) || count < 1)
    throw invalidOption('maxNewTokens', count, 'an integer of at least 1');
  if (typeof divergence !== 'boolean') throw invalidOption('divergence', divergence, 'true or false');
  return { count, divergence, signal: checkSignal(signal) };
}

/**
 * Compares when nothing is being enabled or compared.
 *
 * @param life of the sift. It stays as it is; if it ends, so does the comparison.
 * @throws {SiftError} `INVALID_OPTION`; `DISPOSED` or `DEVICE_LOST` if that happened meanwhile; what `work` throws, if it is a SiftError;
 * else `COMPARE_FAILED` with the runtime's error as the cause. Or the signal's reason.
 */
export async function comparing<T>(
  life: LifeCycle,
  options: CompareOptions,
  work: (plan: ComparePlan) => Promise<T>,
): Promise<T> {
  const plan = planOf(options);
  const { signal } = plan;
  life.check();
  try {
    const result = await queued(() => work(plan), signal);
    // Of a lost device the runtime may bring zeros instead of an error.
    life.check();
    return result;
  } catch (error) {
    signal?.throwIfAborted();
    life.check();
    if (error instanceof SiftError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new SiftError('COMPARE_FAILED', `The comparison was not finished: ${message}`, { cause: error });
  }
}

/**
 * One side of a comparison.
 * @param milliseconds what each token took, without what comparing itself took
 */
export function comparedRun(
  tokens: number[],
  text: string | null,
  milliseconds: readonly number[],
): ComparedRun {
  const [first = 0, ...others] = milliseconds;
  return { tokens, text, firstTokenMilliseconds: first, millisecondsPerToken: median(others) };
}

/** Index of the first token that the two do not share; null if they are the same. */
export function firstDifference(a: readonly number[], b: readonly number[]): number | null {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? null : length;
}

/** What a conversation's decode steps were. */
export function stepsOf(conversation: Conversation | undefined): Pick<Comparison, 'steps' | 'reasons'> {
  const { siftedSteps = 0, denseSteps = 0, stockSteps = 0, reasons = [] } = conversation ?? {};
  return {
    steps: { sifted: siftedSteps, dense: denseSteps, stock: stockSteps },
    reasons: [...reasons].map(([reason, count]) => ({ reason, count })),
  };
}
