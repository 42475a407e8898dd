import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import { invalidOption, SiftError } from '../../errors.ts';
import { selfTest } from '../../kernel/proof/self-test.ts';
import { firstProven, kernelVariants } from '../../kernel/proof/variants.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import {
  type AttentionEncoder,
  createStepResources,
  destroyStepResources,
} from '../../kernel/step/encoder.ts';
import {
  resolveCache,
  resolvePolicy,
  resolveSiftFrom,
  type SiftFrom,
  type SiftOptions,
} from '../../options.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { CrossoverReport } from '../../report.ts';
import { setCrossover } from '../shared/crossover.ts';
import { queuedOn } from '../shared/enabling-queue.ts';
import { LifeCycle } from '../shared/life-cycle.ts';
import type { Sift } from '../shared/sift.ts';
import { loadParser, type WgslParser } from '../shared/wgsl-parser.ts';
import { shapeKey } from './attend-call.ts';
import { DeviceHook } from './device-hook.ts';
import { probe } from './probe.ts';
import {
  findDecoder,
  findRuntime,
  type HubPipeline,
  isHubPipeline,
  type OrtSession,
  type RuntimeInfo,
} from './runtime.ts';
import { SessionHook } from './session-hook.ts';
import { TransformersSift } from './transformers-sift.ts';

/** What the options ask for. */
interface Wanted {
  policy: ThresholdPolicy;
  siftFrom: SiftFrom;
  cache: SiftOptions['cache'];
}

/** What is being enabled. */
interface Enabling {
  pipeline: HubPipeline;
  session: OrtSession;
  sessionHook: SessionHook;
  life: LifeCycle;
}

/**
 * Routes the decode attention of a transformers.js text-generation pipeline through the sift kernel.
 * @throws {SiftError} see `enableSift`.
 */
export async function enableTransformers(target: unknown, options: SiftOptions): Promise<Sift> {
  const wanted: Wanted = {
    policy: resolvePolicy(options),
    cache: resolveCache(options),
    siftFrom: resolveSiftFrom(options),
  };
  if (!isHubPipeline(target)) {
    throw new SiftError(
      'UNSUPPORTED_MODEL',
      'enableSift takes what `await pipeline("text-generation", model, { device: "webgpu" })` of @huggingface/transformers returns.',
      { option: 'pipeline', value: target },
    );
  }
  const session = findDecoder(target);
  const life = LifeCycle.begin(session, 'pipeline');
  try {
    const sessionHook = new SessionHook(session, life);
    const runtime = await findRuntime(options.device);
    const parser = await loadParser();
    life.watch(runtime.device);
    return await queuedOn(runtime.device, () =>
      enableOn({ pipeline: target, session, sessionHook, life }, runtime, parser, wanted),
    );
  } catch (error) {
    throw life.fail(error);
  }
}

async function enableOn(
  { pipeline, session, sessionHook, life }: Enabling,
  { device, version }: RuntimeInfo,
  parser: WgslParser,
  { policy, siftFrom, cache }: Wanted,
): Promise<Sift> {
  life.check();
  const deviceHook = DeviceHook.of(device, parser, onnxruntimeWeb);
  deviceHook.acquire();
  life.defer(() => deviceHook.release());
  const resources = createStepResources(device);
  life.defer(() => destroyStepResources(resources));

  const encoders = new Map<string, AttentionEncoder>();
  const createEncoders = async (shapes: readonly AttentionShape[]) => {
    for (const shape of shapes) {
      const encoder = await firstProven(kernelVariants(device, shape), (variant) =>
        selfTest(resources, shape, variant, policy),
      );
      encoders.set(shapeKey(shape), encoder);
      life.check();
    }
    return encoders;
  };
  const probed = { model: pipeline.model, session, sessionHook, deviceHook };
  const found = await probe(probed, createEncoders, cache !== 'stock');
  if (typeof found.sharedCache === 'string' && cache === 'shared') {
    throw invalidOption('cache', `'shared', but ${found.sharedCache}`, "'stock', or leaving the option out");
  }
  const crossover: CrossoverReport[] = [];
  for (const encoder of encoders.values()) crossover.push(await setCrossover(encoder, policy, siftFrom));
  const findings = {
    encoders,
    layers: found.layers,
    policy,
    version,
    notes: found.reasons,
    sharedCache: found.sharedCache,
    siftFrom,
    crossover,
  };
  const sift = new TransformersSift(pipeline, session, sessionHook, deviceHook, resources, life, findings);
  life.start();
  return sift;
}
