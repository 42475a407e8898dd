import { invalidOption } from '../../errors.ts';
import { selfTest } from '../../kernel/proof/self-test.ts';
import { firstProven, kernelVariants } from '../../kernel/proof/variants.ts';
import { type AttentionShape, describeShape } from '../../kernel/shape.ts';
import {
  type AttentionEncoder,
  createStepResources,
  destroyStepResources,
  type StepResources,
} from '../../kernel/step/encoder.ts';
import { checkSignal } from '../../option-checks.ts';
import {
  resolveCache,
  resolvePolicy,
  resolveProgress,
  resolveSiftFrom,
  type SiftFrom,
  type SiftOptions,
} from '../../options.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { CrossoverReport } from '../../report.ts';
import { setCrossover } from '../shared/crossover.ts';
import { queued } from '../shared/enabling-queue.ts';
import { LifeCycle } from '../shared/life-cycle.ts';
import { EnablingProgress } from '../shared/progress.ts';
import type { Sift } from '../shared/sift.ts';
import { checkDevice } from './find-device.ts';
import { knownSession, rememberSession, subjectOf } from './known-sessions.ts';
import { observe, type TrialTarget } from './observe.ts';
import { type Proof, prove } from './prove.ts';
import { findDecoder, findModel } from './runtime.ts';
import { SessionHook } from './session-hook.ts';
import { TransformersSift } from './transformers-sift.ts';

/** What the options ask for. */
interface Wanted {
  policy: ThresholdPolicy;
  siftFrom: SiftFrom;
  cache: SiftOptions['cache'];
  device: GPUDevice | undefined;
  progress: EnablingProgress;
}

/**
 * Routes the decode attention of a transformers.js model through the sift kernel.
 * @throws {SiftError} see `enableSift`.
 */
export async function enableTransformers(target: unknown, options: SiftOptions): Promise<Sift> {
  const wanted: Wanted = {
    policy: resolvePolicy(options),
    cache: resolveCache(options),
    siftFrom: resolveSiftFrom(options),
    device: options.device,
    progress: new EnablingProgress(resolveProgress(options)),
  };
  const model = findModel(target);
  checkDevice(options.device);
  const session = findDecoder(model);
  const signal = checkSignal(options.signal);
  const life = LifeCycle.begin(session, 'pipeline', signal);
  try {
    const sessionHook = new SessionHook(session, life);
    const trial = { model, session, given: target, sessionHook, life };
    return await queued(() => life.during(() => enable(trial, wanted)), signal);
  } catch (error) {
    throw life.fail(error);
  } finally {
    wanted.progress.end();
  }
}

/**
 * Checks a target without running it.
 * @throws {SiftError} what speaks against it
 */
export function checkModel(target: unknown): void {
  checkDevice(undefined);
  findDecoder(findModel(target));
}

async function enable(
  target: TrialTarget,
  { policy, siftFrom, cache, device: given, progress }: Wanted,
): Promise<Sift> {
  const { life, session } = target;
  life.check();
  progress.begin('observing');
  const known = knownSession(session);
  const observation = await observe(target, given, known?.observation);
  const { deviceHook, observer } = observation;
  const resources = await createStepResources(deviceHook.device);
  life.own(() => destroyStepResources(resources));
  progress.begin('compiling');
  const encoders = await createEncoders(resources, observer.layers.values(), policy, life);
  progress.begin('comparing');
  const wantsSharedCache = cache !== 'stock';
  const subject = subjectOf(encoders, wantsSharedCache);
  const proved = observation === known?.observation ? known.proofs.get(subject) : undefined;
  const proof = proved ? again(proved) : await prove(target, observation, encoders, wantsSharedCache);
  if (!proved) rememberSession(session, observation, subject, proof, wantsSharedCache);
  if (typeof proof.sharedCache === 'string' && cache === 'shared') {
    throw invalidOption('cache', `'shared', but ${proof.sharedCache}`, "'stock', or leaving the option out");
  }
  progress.begin('calibrating');
  const crossover: CrossoverReport[] = [];
  for (const encoder of encoders.values()) {
    life.check();
    crossover.push(await setCrossover(encoder, policy, siftFrom));
  }
  const findings = { ...proof, interface: observer.interface!, encoders, policy, siftFrom, crossover };
  const sift = new TransformersSift(target, deviceHook, resources, findings);
  life.start();
  progress.begin('done');
  return sift;
}

/** A proof of before, with a shared cache that has served nobody. */
function again(proof: Proof): Proof {
  const { sharedCache } = proof;
  return typeof sharedCache === 'string' ? proof : { ...proof, sharedCache: sharedCache.anew() };
}

/** Compiles and tests the kernels of each shape, while the page's other pipelines may run. */
async function createEncoders(
  resources: StepResources,
  shapes: Iterable<AttentionShape>,
  policy: ThresholdPolicy,
  life: LifeCycle,
): Promise<ReadonlyMap<string, AttentionEncoder>> {
  const { device } = resources;
  const encoders = new Map<string, AttentionEncoder>();
  for (const shape of shapes) {
    const key = describeShape(shape);
    if (encoders.has(key)) continue;
    const encoder = await firstProven(kernelVariants(device, shape), (variant) => {
      life.check();
      return selfTest(resources, shape, variant, policy);
    });
    encoders.set(key, encoder);
    life.check();
  }
  return encoders;
}
