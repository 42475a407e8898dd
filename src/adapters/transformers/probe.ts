import { SiftError } from '../../errors.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import type { AttentionEncoder } from '../../kernel/step/encoder.ts';
import { STOCK_BOUND } from '../shared/stock-comparison.ts';
import { shapeKey } from './attend-call.ts';
import { ComparingHandler, type Comparisons, createComparisons } from './comparison.ts';
import type { DeviceHook } from './device-hook.ts';
import { proveSharedCache } from './kv/proof.ts';
import { SharedCache, sharedCacheObstacle } from './kv/shared-cache.ts';
import { Observer } from './observer.ts';
import type { DispatchHandler } from './pass-hook.ts';
import { type HubModel, layerOfPastKey, type OrtSession } from './runtime.ts';
import type { SessionHook } from './session-hook.ts';
import { Trial } from './trial.ts';

/** What was found out on the user's model before the first real use. */
export interface ProbeResult {
  /** Layers whose attention may be routed: in each of them ours computed the same as the runtime's. */
  layers: ReadonlyMap<number, AttentionShape>;
  /** Why others may not. */
  reasons: string[];
  /** A shared KV cache, if the model was proved to compute the same with one; or why there is none. */
  sharedCache: SharedCache | string;
}

/** What a probe works on. */
export interface ProbeTarget {
  model: HubModel;
  session: OrtSession;
  sessionHook: SessionHook;
  deviceHook: DeviceHook;
}

async function withHandler<T>(hook: DeviceHook, handler: DispatchHandler, run: () => Promise<T>): Promise<T> {
  // Within a turn no other run of this library is under way, but another copy of it may have one on the device.
  while (!hook.claim(handler)) await new Promise((resolve) => setTimeout(resolve));
  try {
    return await run();
  } finally {
    hook.free(handler);
  }
}

/**
 * Runs a short text through the model, twice. The first time shows which attention the runtime uses. The second time ours runs beside it
 * on the same data; then once more on a shared KV cache, if one is wanted, which must give the same logits.
 *
 * @param createEncoders compiles and tests the kernels of the shapes that were found, while the page's other pipelines may run
 * @throws {SiftError} `LATE_ENABLE` if the attention was compiled before the plugin listened; `UNSUPPORTED_MODEL` if it is none
 * that can be sifted; `SELF_TEST_FAILED` if ours computes something else; `DISPOSED` if the pipeline was disposed of meanwhile.
 */
export async function probe(
  target: ProbeTarget,
  createEncoders: (shapes: readonly AttentionShape[]) => Promise<ReadonlyMap<string, AttentionEncoder>>,
  wantsSharedCache: boolean,
): Promise<ProbeResult> {
  const observer = await observe(target);
  const shapes = new Map([...observer.layers.values()].map((shape) => [shapeKey(shape), shape]));
  const comparisons = await createComparisons(await createEncoders([...shapes.values()]));
  try {
    return await Trial.hold(target.model, target.sessionHook, (trial) =>
      prove(target, trial, observer, comparisons, wantsSharedCache),
    );
  } finally {
    for (const comparison of comparisons.values()) comparison.destroy();
  }
}

/** Looks at one decode step. */
async function observe({ model, sessionHook, deviceHook, session }: ProbeTarget): Promise<Observer> {
  const observer = await Trial.hold(model, sessionHook, async (trial) => {
    let seen: Observer | undefined;
    await trial.decode([
      (run, feeds) => {
        seen = new Observer(deviceHook, feeds);
        return withHandler(deviceHook, seen, run);
      },
    ]);
    return seen!;
  });
  if (observer.layers.size > 0) return observer;
  if (observer.late) {
    throw new SiftError(
      'LATE_ENABLE',
      'The attention of this model was compiled before enableSift was called. Call it right after pipeline(), before the first generation of any pipeline on this device; then reload the page.',
    );
  }
  const reasons =
    [...observer.reasons].join('; ') ||
    `its ${layerCount(session)} decoder layers use no GroupQueryAttention in flash-decode form`;
  throw new SiftError('UNSUPPORTED_MODEL', `The attention of this model cannot be sifted: ${reasons}.`);
}

/** Holds ours against the runtime's in every layer that was recognised, and then tries a shared cache. */
async function prove(
  { session, sessionHook, deviceHook }: ProbeTarget,
  trial: Trial,
  observer: Observer,
  comparisons: Comparisons,
  wantsSharedCache: boolean,
): Promise<ProbeResult> {
  let compared: ComparingHandler | undefined;
  const stock = await trial.decode([
    (run, feeds) => {
      compared = new ComparingHandler(deviceHook, comparisons, feeds);
      return withHandler(deviceHook, compared, run);
    },
    (run) => run(),
  ]);
  const both = compared!.layers;
  const layers = new Map([...observer.layers].filter(([layer]) => both.has(layer)));
  if (layers.size === 0) {
    throw new SiftError(
      'UNSUPPORTED_MODEL',
      'The attention of a decode step changed from one step to the next.',
    );
  }
  for (const comparison of comparisons.values()) await comparison.check();
  const result = { layers, reasons: [...observer.reasons] };
  if (!wantsSharedCache) return { ...result, sharedCache: 'asked for' };
  const others = layerCount(session) - layers.size;
  const sharedCache = new SharedCache(deviceHook.device, session, trial.outputClass!);
  const bound = Math.max(...[...layers.values()].map(({ dtype }) => STOCK_BOUND[dtype]));
  const obstacle =
    sharedCacheObstacle(session) ??
    (others > 0
      ? `${others} layers use another attention of the runtime`
      : await proveSharedCache(trial, sessionHook, sharedCache, stock, bound));
  return { ...result, sharedCache: obstacle ?? sharedCache };
}

function layerCount(session: OrtSession): number {
  return session.inputNames.filter((name) => layerOfPastKey(name) !== undefined).length;
}
