import { shadowMethod } from '../../shadow.ts';
import type { ProbeText } from '../probe-text.ts';
import type { OrtSession } from '../runtime.ts';
import { type SharedCache, sharedCacheObstacle } from './shared-cache.ts';

/**
 * Decodes the probe's text on a shared cache.
 * @param stock the runtime's own logits, [steps][vocabulary]
 * @param bound how far ours may be from them, relative to the largest logit of the step
 * @returns why the session cannot have a shared cache; undefined if it can.
 */
export async function proveSharedCache(
  session: OrtSession,
  sharedCache: SharedCache,
  text: ProbeText,
  stock: readonly Float32Array[],
  bound: number,
): Promise<string | undefined> {
  const obstacle = sharedCacheObstacle(session);
  if (obstacle) return obstacle;
  const original = session.run.bind(session);
  const restore = shadowMethod(session, 'run', (feeds, ...rest) => sharedCache.run(original, feeds, rest));
  try {
    const { logits: ours } = await text.decode(stock.map(() => (run) => run()));
    const { steps, reasons } = sharedCache.report();
    if (steps !== stock.length + 1) return reasons[0]?.reason ?? 'the runtime did not take it';
    const same = stock.every((row, step) => {
      const largest = row.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      return row.every((value, i) => Math.abs(value - ours[step]![i]!) <= bound * largest);
    });
    return same ? undefined : 'the model computes something else with past and present in one buffer';
  } catch (error) {
    return `the runtime refuses past and present in one buffer: ${error instanceof Error ? error.message : error}`;
  } finally {
    restore();
  }
}
