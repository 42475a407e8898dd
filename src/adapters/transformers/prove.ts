import { SiftError } from '../../errors.ts';
import { destroyAll, type Owned } from '../../kernel/gpu/allocate.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import type { AttentionEncoder } from '../../kernel/step/encoder.ts';
import { layerOfKey } from '../shared/attention-key.ts';
import { STOCK_BOUND } from '../shared/stock-comparison.ts';
import { ComparingHandler, type Comparisons, createComparisons } from './comparison.ts';
import { proveSharedCache } from './kv/proof.ts';
import { SharedCache, sharedCacheObstacle } from './kv/shared-cache.ts';
import { layerCount, type Observation, type TrialTarget, withHandler } from './observe.ts';
import { disposeAll, Trial } from './trial.ts';

/** What was found out on the user's model before the first real use. */
export interface Proof {
  /** Layers whose attention may be routed: in each of them ours computed the same as the runtime's. */
  layers: ReadonlyMap<number, AttentionShape>;
  /** Why others may not. */
  reasons: string[];
  /** Whether ours computed the same as the runtime's over a window, too, so that layers with windows may be routed. */
  windows: boolean;
  /** A shared KV cache, if the model was proved to compute the same with one; or why there is none. */
  sharedCache: SharedCache | string;
}

/**
 * Decodes the short text again, ours beside the runtime's on the same data, in every layer that was recognised; then once
 * more on a shared KV cache, if one is wanted, which must give the same logits.
 *
 * @throws {SiftError} `UNSUPPORTED_MODEL` if the attention is not what it was; `SELF_TEST_FAILED` if ours computes something else;
 * `DISPOSED` if the pipeline was disposed of meanwhile.
 */
export async function prove(
  target: TrialTarget,
  observation: Observation,
  encoders: ReadonlyMap<string, AttentionEncoder>,
  wantsSharedCache: boolean,
): Promise<Proof> {
  const owned: Owned = [];
  try {
    const comparisons = await createComparisons(encoders, owned);
    const windows: Comparisons = observation.observer.windows
      ? await createComparisons(encoders, owned)
      : new Map();
    return await Trial.hold(target.model, target.sessionHook, (trial) =>
      compare(target, trial, observation, { comparisons, windows }, wantsSharedCache),
    );
  } finally {
    destroyAll(owned);
  }
}

async function compare(
  { session, sessionHook, life }: TrialTarget,
  trial: Trial,
  { deviceHook, observer, prompt: kept }: Observation,
  { comparisons, windows }: { comparisons: Comparisons; windows: Comparisons },
  wantsSharedCache: boolean,
): Promise<Proof> {
  let compared: ComparingHandler | undefined;
  // The prompt of the first trial serves again: no kernel of ours took part in it, and nothing has written what it put out.
  const prompt = kept ?? (await trial.prompt());
  const decoding = trial.decode(prompt, [
    (run, feeds) => {
      compared = new ComparingHandler(deviceHook, comparisons, windows, feeds);
      return withHandler(deviceHook, compared, run, life);
    },
    (run) => run(),
  ]);
  const stock = await decoding.finally(() => disposeAll(prompt));
  const both = compared!.layers;
  const layers = new Map([...observer.layers].filter(([layer]) => both.has(layer)));
  if (layers.size === 0) {
    const why =
      [...compared!.reasons].join('; ') || 'the runtime used other programs when it ran the same step again';
    throw new SiftError(
      'UNSUPPORTED_MODEL',
      `The attention of this model cannot be compared with ours: ${why}.`,
    );
  }
  for (const comparison of comparisons.values()) await comparison.check();
  const result = {
    layers,
    reasons: [...observer.reasons],
    windows: (await compared!.windowFault()) === undefined,
  };
  if (!wantsSharedCache) return { ...result, sharedCache: 'asked for' };
  // A cache is shared by the operator, whatever programs it then runs.
  const operators = new Set([...layers.keys(), ...observer.elsewhere].map(layerOfKey));
  const others = layerCount(session) - operators.size;
  const sharedCache = new SharedCache(deviceHook.device, session, trial.outputClass!);
  const bound = Math.max(...[...layers.values()].map(({ dtype }) => STOCK_BOUND[dtype]));
  const obstacle =
    sharedCacheObstacle(session) ??
    (others > 0
      ? `${others} layers use another attention of the runtime`
      : await proveSharedCache(trial, sessionHook, sharedCache, stock, bound));
  return { ...result, sharedCache: obstacle ?? sharedCache };
}
