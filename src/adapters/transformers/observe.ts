import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import { SiftError } from '../../errors.ts';
import type { LifeCycle } from '../shared/life-cycle.ts';
import { DeviceHook } from './device-hook.ts';
import { DeviceSearch } from './find-device.ts';
import { Observer } from './observer.ts';
import type { DispatchHandler } from './pass-hook.ts';
import { type HubModel, layerOfPastKey, type OrtSession } from './runtime.ts';
import type { SessionHook, Tensors } from './session-hook.ts';
import { disposeAll, Trial } from './trial.ts';
import { SHORT, words } from './words.ts';

/** A model that is being enabled. */
export interface TrialTarget {
  model: HubModel;
  session: OrtSession;
  /** What `enableSift` was given: beside the model it may have a tokenizer. */
  given: unknown;
  sessionHook: SessionHook;
  life: LifeCycle;
}

/** What the first trial shows. */
export interface Observation {
  /** Installed on the device that the model runs on; the life takes it away. */
  deviceHook: DeviceHook;
  observer: Observer;
  /**
   * What the trial's prompt left, which later decode steps go on from. It is on the GPU until the second trial or the life is over.
   * Undefined: this was known, and no whole prompt was run.
   */
  prompt?: Tensors;
}

/** Gives a handler the dispatches of a run. */
export async function withHandler<T>(
  hook: DeviceHook,
  handler: DispatchHandler,
  run: () => Promise<T>,
  life: LifeCycle,
): Promise<T> {
  // Within a turn no other run of this library is under way, but another copy of it may have one on the device.
  while (!hook.claim(handler)) {
    life.check();
    await new Promise((resolve) => setTimeout(resolve));
  }
  try {
    return await run();
  } finally {
    hook.free(handler);
  }
}

/** Layers with a KV cache of their own. */
export function layerCount(session: OrtSession): number {
  return session.inputNames.filter((name) => layerOfPastKey(name) !== undefined).length;
}

/**
 * Runs a short text through the model. Its prompt shows which device the model runs on, its first decode step which attention the
 * runtime uses.
 *
 * @param known what an earlier enabling found out about the session. Then a prompt of one token is run, which shows that the session
 * still works, and on the same device; its programs are what they were.
 * @throws {SiftError} `LATE_ENABLE` if the attention was compiled before the plugin listened; `UNSUPPORTED_MODEL` if it is none
 * that can be sifted; `DISPOSED` if the pipeline was disposed of meanwhile; as {@link DeviceSearch.found}. If the life's device is lost,
 * its error counts instead.
 */
export async function observe(
  target: TrialTarget,
  given: GPUDevice | undefined,
  known?: Observation,
): Promise<Observation> {
  const { model, sessionHook } = target;
  const observation = await Trial.hold(model, sessionHook, (trial) => look(target, trial, given, known));
  const { observer } = observation;
  if (observer.layers.size > 0) return observation;
  const { LATE, whyNone } = await words();
  if (observer.late) throw new SiftError('LATE_ENABLE', LATE ?? SHORT);
  throw new SiftError(
    'UNSUPPORTED_MODEL',
    `The attention of this model cannot be sifted: ${whyNone?.(observer) ?? [...observer.reasons].join('; ')}.`,
  );
}

async function look(
  target: TrialTarget,
  trial: Trial,
  given: GPUDevice | undefined,
  known?: Observation,
): Promise<Observation> {
  const { life } = target;
  let deviceHook: DeviceHook | undefined;
  let observer: Observer | undefined;
  const search = new DeviceSearch(given);
  try {
    const seen = async (outputs: Tensors) => {
      const hook = DeviceHook.of(await search.found(outputs), onnxruntimeWeb);
      hook.acquire();
      life.defer(() => hook.release());
      life.watch(hook.device);
      deviceHook = hook;
    };
    const prompt = await trial.prompt(undefined, seen, known && 1);
    life.defer(() => disposeAll(prompt));
    if (known) {
      disposeAll(prompt);
      // What was found out on another device does not count.
      return known.deviceHook === deviceHook ? known : await look(target, trial, given);
    }
    await trial.decode(prompt, [
      (run, feeds) => {
        observer = new Observer(deviceHook!, feeds);
        return withHandler(deviceHook!, observer, run, life);
      },
    ]);
    return { deviceHook: deviceHook!, observer: observer!, prompt };
  } catch (error) {
    await search.watchAll(life);
    throw error;
  } finally {
    search.end();
  }
}
