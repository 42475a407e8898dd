import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import { invalidOption, SiftError } from '../../errors.ts';
import { selfTest } from '../../kernel/proof/self-test.ts';
import { firstProven, kernelVariants } from '../../kernel/proof/variants.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import {
  type AttentionEncoder,
  createStepResources,
  destroyStepResources,
  type StepResources,
} from '../../kernel/step/encoder.ts';
import {
  resolveCache,
  resolvePolicy,
  resolveSiftFrom,
  type SiftFrom,
  type SiftOptions,
} from '../../options.ts';
import { isDense, planStep, type ThresholdPolicy } from '../../policy/index.ts';
import type { CrossoverReport, SiftReport } from '../../report.ts';
import { setCrossover, shortReason } from '../crossover.ts';
import { buildReport, stockCacheReport } from '../report.ts';
import { shadowMethod } from '../shadow.ts';
import type { Sift } from '../sift.ts';
import { loadParser, type WgslParser } from '../wgsl-parser.ts';
import { shapeKey } from './attend-call.ts';
import { CacheRegistry, type CacheState } from './cache.ts';
import { DeviceHook } from './device-hook.ts';
import { generationBound } from './kv/capacity.ts';
import type { SharedCache, SharedRun } from './kv/shared-cache.ts';
import { viewOf } from './kv/views.ts';
import { probe } from './probe.ts';
import {
  findDecoder,
  findRuntime,
  type HubPipeline,
  isHubPipeline,
  layerOfPastKey,
  type OrtSession,
  type OrtTensor,
  presentName,
  type RuntimeInfo,
} from './runtime.ts';
import { SessionHook } from './session-hook.ts';
import { StepHandler } from './step-handler.ts';

/** Sessions that have sift or are being enabled, to refuse it twice. */
const taken = new WeakSet<OrtSession>();
const resourcesOf = new WeakMap<GPUDevice, StepResources>();
/** Settles when nothing is being enabled on a device: probes and measurements of one would disturb another's. */
const enabling = new WeakMap<GPUDevice, Promise<void>>();

/** Runs work when what was given before for the device is done. */
function queued<T>(device: GPUDevice, work: () => Promise<T>): Promise<T> {
  const result = (enabling.get(device) ?? Promise.resolve()).then(work);
  enabling.set(
    device,
    result.then(
      () => {},
      () => {},
    ),
  );
  return result;
}

/**
 * Routes the decode attention of a transformers.js text-generation pipeline through the sift kernel.
 * @throws {SiftError} see `enableSift`.
 */
export async function enableTransformers(target: unknown, options: SiftOptions): Promise<Sift> {
  const policy = resolvePolicy(options);
  const cache = resolveCache(options);
  const siftFrom = resolveSiftFrom(options);
  if (!isHubPipeline(target)) {
    throw new SiftError(
      'UNSUPPORTED_MODEL',
      'enableSift takes what `await pipeline("text-generation", model, { device: "webgpu" })` of @huggingface/transformers returns.',
      { option: 'pipeline', value: target },
    );
  }
  const session = findDecoder(target);
  if (taken.has(session)) {
    throw new SiftError(
      'INVALID_OPTION',
      'This pipeline has sift already, or is being given it by an earlier call. Use the object that enableSift returned, or dispose of it first.',
      { option: 'pipeline' },
    );
  }
  taken.add(session);
  const sessionHook = new SessionHook(session);
  try {
    const runtime = await findRuntime(options.device);
    const parser = await loadParser();
    return await queued(runtime.device, () =>
      enableOn(target, session, sessionHook, runtime, parser, { policy, siftFrom, cache }),
    );
  } catch (error) {
    sessionHook.remove();
    taken.delete(session);
    throw error;
  }
}

interface Wanted {
  policy: ThresholdPolicy;
  siftFrom: SiftFrom;
  cache: SiftOptions['cache'];
}

async function enableOn(
  target: HubPipeline,
  session: OrtSession,
  sessionHook: SessionHook,
  runtime: RuntimeInfo,
  parser: WgslParser,
  { policy, siftFrom, cache }: Wanted,
): Promise<Sift> {
  const hook = DeviceHook.of(runtime.device, parser, onnxruntimeWeb);
  const resources = resourcesOf.get(runtime.device) ?? createStepResources(runtime.device);
  resourcesOf.set(runtime.device, resources);
  hook.acquire();
  try {
    const encoders = new Map<string, AttentionEncoder>();
    const createEncoders = async (shapes: readonly AttentionShape[]) => {
      for (const shape of shapes) {
        const variants = kernelVariants(resources.device, shape);
        const encoder = await firstProven(variants, (variant) => selfTest(resources, shape, variant, policy));
        encoders.set(shapeKey(shape), encoder);
      }
      return encoders;
    };
    const probed = { model: target.model, session, sessionHook, deviceHook: hook, resources };
    const proved = await probe(probed, createEncoders, cache !== 'stock');
    if (typeof proved.sharedCache === 'string' && cache === 'shared') {
      throw invalidOption(
        'cache',
        `'shared', but ${proved.sharedCache}`,
        "'stock', or leaving the option out",
      );
    }
    const crossover: CrossoverReport[] = [];
    for (const encoder of encoders.values()) crossover.push(await setCrossover(encoder, policy, siftFrom));
    sessionHook.checkReleased();
    return new TransformersSift(target, session, sessionHook, hook, resources, {
      encoders,
      layers: proved.layers,
      policy,
      version: runtime.version,
      notes: proved.reasons,
      sharedCache: proved.sharedCache,
      siftFrom,
      crossover,
    });
  } catch (error) {
    releaseDevice(hook, resources);
    throw error;
  }
}

/** The device's last user frees what its users shared. */
function releaseDevice(hook: DeviceHook, resources: StepResources): void {
  if (!hook.release()) return;
  resourcesOf.delete(hook.device);
  destroyStepResources(resources);
}

/** What was found out about a pipeline when sift was enabled. */
interface Findings {
  encoders: ReadonlyMap<string, AttentionEncoder>;
  /** The layers that may be routed. */
  layers: ReadonlyMap<number, AttentionShape>;
  policy: ThresholdPolicy;
  version: string | undefined;
  notes: readonly string[];
  /** ... or why there is none. */
  sharedCache: SharedCache | string;
  siftFrom: SiftFrom;
  crossover: readonly CrossoverReport[];
}

/** The past of a run: whose rows they are, and how many. */
interface Past {
  length: number;
  batch: number;
  /** The shared cache, or the buffer of layer 0's keys. */
  owner: object | undefined;
}

class TransformersSift implements Sift {
  enabled = true;
  readonly policy: ThresholdPolicy;
  private disposed = false;
  private readonly shared: SharedCache | undefined;
  private readonly caches: CacheRegistry;
  /** The next run begins a prompt, however short: `generate` was called. */
  private promptNext = false;
  private readonly restore: () => void;
  private readonly pastKeys: readonly { name: string; layer: number }[];

  constructor(
    pipeline: HubPipeline,
    private readonly session: OrtSession,
    private readonly sessionHook: SessionHook,
    private readonly hook: DeviceHook,
    private readonly resources: StepResources,
    private readonly findings: Findings,
  ) {
    const { sharedCache } = findings;
    this.policy = findings.policy;
    this.shared = typeof sharedCache === 'string' ? undefined : sharedCache;
    this.caches = new CacheRegistry(hook.device, this.policy);
    this.pastKeys = session.inputNames
      .map((name) => ({ name, layer: layerOfPastKey(name) }))
      .filter((entry): entry is { name: string; layer: number } => entry.layer !== undefined);
    const { model } = pipeline;
    const generate = model.generate.bind(model);
    this.restore = shadowMethod(model, 'generate', (...args) => {
      this.promptNext = true;
      if (this.shared) this.shared.bound = generationBound(model, args[0]);
      return generate(...args);
    });
    sessionHook.route = (feeds, rest) => this.run(feeds, rest);
    sessionHook.onRelease = () => this.dispose();
  }

  enable(): void {
    if (this.disposed) throw new SiftError('DISPOSED', 'This sift was disposed of. Call enableSift again.');
    this.enabled = true;
  }

  disable(): void {
    this.enabled = false;
  }

  report(): Promise<SiftReport> {
    return buildReport({
      enabled: this.enabled,
      policy: this.policy,
      runtime: {
        name: onnxruntimeWeb.runtime,
        version: this.findings.version ?? null,
        tested:
          this.findings.version !== undefined &&
          onnxruntimeWeb.testedVersions.includes(this.findings.version),
      },
      cache: this.caches.current,
      conversations: this.caches.conversations,
      notes: this.findings.notes.map((reason) => `seen while enabling: ${reason}`),
      crossover: this.findings.crossover,
      kvCache: this.shared?.report() ?? stockCacheReport(String(this.findings.sharedCache)),
    });
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.enabled = false;
    this.restore();
    this.sessionHook.remove();
    taken.delete(this.session);
    this.caches.destroy();
    releaseDevice(this.hook, this.resources);
  }

  private async run(feeds: Record<string, OrtTensor>, rest: unknown[]): Promise<Record<string, OrtTensor>> {
    const prompt = this.promptNext;
    this.promptNext = false;
    const { run } = this.sessionHook;
    if (!this.enabled) return run(feeds, ...rest);
    const shared = await this.shared?.begin(feeds, rest);
    const past = this.pastOf(feeds, shared);
    const newTokens = (feeds.input_ids ?? feeds.inputs_embeds)?.dims[1] ?? 0;
    const decode = newTokens === 1 && past.length > 0 && !prompt;
    const cache = this.cacheFor(past, decode);
    const handler = decode ? this.beginStep(cache, shared?.feeds ?? feeds, past.length + 1) : undefined;
    let outputs: Record<string, OrtTensor>;
    try {
      outputs = shared ? shared.finish(await run(shared.feeds, shared.fetches)) : await run(feeds, ...rest);
    } catch (error) {
      shared?.abort();
      throw error;
    } finally {
      if (handler && this.hook.handler === handler) this.hook.handler = undefined;
      handler?.end();
    }
    this.endRun(cache, handler, outputs, past.length + newTokens);
    return outputs;
  }

  private pastOf(feeds: Record<string, OrtTensor>, shared: SharedRun | undefined): Past {
    const tensor = feeds[this.pastKeys[0]?.name ?? ''];
    return {
      length: tensor?.dims[2] ?? 0,
      batch: tensor?.dims[0] ?? 1,
      owner: shared?.cache ?? ownerOf(tensor),
    };
  }

  private cacheFor(past: Past, decode: boolean): CacheState {
    const known = this.caches.find(past.owner, past.length, past.batch);
    if (!known) return this.caches.create(past.batch);
    if (!decode) {
      // Another prompt on a kept cache: thresholds are learned anew for every request.
      known.restart();
      this.caches.conversations++;
    }
    return known;
  }

  /** Sets the handler for a decode step on `length` keys, unless another session's run is under way on the device. */
  private beginStep(
    cache: CacheState,
    feeds: Record<string, OrtTensor>,
    length: number,
  ): StepHandler | undefined {
    cache.step++;
    if (this.hook.handler) {
      cache.count('another session ran at the same time');
      return undefined;
    }
    const { encoders, layers } = this.findings;
    const plan = planStep(this.policy, cache.step, length);
    const handler = new StepHandler(this.hook, encoders, layers, cache, plan, feeds);
    this.hook.handler = handler;
    return handler;
  }

  private endRun(
    cache: CacheState,
    handler: StepHandler | undefined,
    outputs: Record<string, OrtTensor>,
    length: number,
  ): void {
    const key = this.pastKeys[0];
    const present = key && outputs[presentName(key.name)];
    const owner = ownerOf(present);
    if (present && owner) {
      this.caches.follow(cache, owner, length);
      const dispose = present.dispose.bind(present);
      present.dispose = () => {
        this.caches.release(owner, length);
        dispose();
      };
    }
    if (!handler) return;
    this.resources.scratch.collect();
    for (const reason of handler.reasons) cache.count(reason);
    const plan = planStep(this.policy, cache.step);
    const all = handler.attended.size === this.pastKeys.length;
    if (!all && handler.reasons.size === 0) {
      cache.count(
        `${this.pastKeys.length - handler.attended.size} layers used another attention of the runtime`,
      );
    }
    const { attended, short } = handler;
    const dense = plan.dense ? attended : short;
    for (const layer of dense) {
      const shape = cache.layers.get(layer)?.shape;
      cache.denseRows += length * cache.batch * (shape?.kvHeads ?? 0);
    }
    cache.countShort(short);
    if (attended.size > dense.size) {
      cache.siftedSteps++;
      return;
    }
    cache.denseSteps++;
    if (attended.size === 0) return;
    if (!plan.dense) {
      cache.shortSteps++;
      cache.count(shortReason(handler.shortFrom, this.findings.siftFrom));
    } else {
      cache.count(isDense(this.policy) ? 'every row is kept (tau 0)' : 'warm-up');
    }
  }
}

/** What identifies the KV cache that a key tensor belongs to. */
function ownerOf(tensor: OrtTensor | undefined): object | undefined {
  return viewOf(tensor)?.cache ?? (tensor?.location === 'gpu-buffer' ? tensor.gpuBuffer : undefined);
}
