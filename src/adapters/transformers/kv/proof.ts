import { SiftError } from '../../../errors.ts';
import type { SessionHook, Tensors } from '../session-hook.ts';
import { disposeAll, type Trial } from '../trial.ts';
import type { SharedCache } from './shared-cache.ts';

/**
 * Decodes the trial's text on a shared cache.
 * @param stock the runtime's own logits, [steps][vocabulary]
 * @param bound how far ours may be from them, relative to the largest logit of the step
 * @returns why the session cannot have a shared cache; undefined if it can.
 */
export async function proveSharedCache(
  trial: Trial,
  hook: SessionHook,
  sharedCache: SharedCache,
  stock: readonly Float32Array[],
  bound: number,
): Promise<string | undefined> {
  try {
    const inPlace = (feeds: Tensors) => sharedCache.run((...args) => hook.trial(...args), feeds, []);
    const prompt = await trial.prompt(inPlace);
    const steps = stock.map(() => (run: () => Promise<void>) => run());
    const ours = await trial.decode(prompt, steps, inPlace).finally(() => disposeAll(prompt));
    const { steps: shared, reasons } = sharedCache.report();
    if (shared !== stock.length + 1) return reasons[0]?.reason ?? 'the runtime did not take it';
    const same = stock.every((row, step) => {
      const largest = row.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      return row.every((value, i) => Math.abs(value - ours[step]![i]!) <= bound * largest);
    });
    return same ? undefined : 'the model computes something else with past and present in one buffer';
  } catch (error) {
    if (error instanceof SiftError && error.code === 'DISPOSED') throw error;
    return `the runtime refuses past and present in one buffer: ${error instanceof Error ? error.message : error}`;
  }
}
