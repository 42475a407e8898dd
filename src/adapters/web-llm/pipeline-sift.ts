import { webLlm } from '../../../patches/web-llm.ts';
import { SiftError } from '../../errors.ts';
import { pagedSelfTest } from '../../kernel/proof/paged-self-test.ts';
import { firstProven, kernelVariants } from '../../kernel/proof/variants.ts';
import {
  type AttentionEncoder,
  createStepResources,
  destroyStepResources,
  type StepResources,
} from '../../kernel/step/encoder.ts';
import { pagedKv } from '../../kernel/text/kv-paged.ts';
import type { SiftFrom } from '../../options.ts';
import { isDense, planStep, type ThresholdPolicy } from '../../policy/index.ts';
import type { CrossoverReport } from '../../report.ts';
import { CacheState } from '../cache-state.ts';
import { setCrossover, shortReason } from '../crossover.ts';
import { shadowMethod } from '../shadow.ts';
import type { WgslParser } from '../wgsl-parser.ts';
import type { ChatPipeline } from './engine.ts';
import { Proof } from './proof.ts';
import { PagedStep } from './step.ts';
import { type Registration, register } from './trampoline.ts';

const LATE =
  'LATE_ENABLE: the model had decoded before enableSift was called, and its compiled code keeps the kernel that it launched first. `await engine.reload(modelId)` mends it: the plugin is in time for the new pipeline';

/** What is ready once the kernels are compiled and tested. */
interface Ready {
  registration: Registration;
  resources: StepResources;
  encoder: AttentionEncoder;
  zero: GPUBuffer;
}

/** Sifted attention on one chat pipeline: from `loadedModelIdToPipeline.set` until it is disposed of. */
export class PipelineSift {
  conversations = 0;
  cache: CacheState | undefined;
  crossover: CrossoverReport | undefined;
  /** Why the pipeline stays with the runtime's kernel. */
  refused: string | undefined;
  /** Settles when the kernels may be used, or the pipeline is refused; never rejects. */
  readonly ready: Promise<void>;
  private state: Ready | undefined;
  private readonly registration: Registration | undefined;
  private proof: Proof | 'passed' | undefined;
  private step: PagedStep | undefined;
  private readonly layers = new Map<GPUBuffer, number>();
  private readonly restore: (() => void)[] = [];
  private disposed = false;

  /** @param used called at each of the pipeline's prompts and decode steps */
  constructor(
    readonly pipeline: ChatPipeline,
    private readonly policy: ThresholdPolicy,
    private readonly siftFrom: SiftFrom,
    Parser: WgslParser,
    private readonly isEnabled: () => boolean,
    private readonly used: () => void,
    private readonly onDispose: () => void,
  ) {
    const registration = this.attempt(() => register(pipeline, Parser, webLlm));
    this.registration = registration;
    if (registration) {
      this.listen(registration);
      this.shadow();
      this.ready = this.prepare(registration).catch((error: unknown) => this.refuse(reasonOf(error)));
    } else {
      this.ready = Promise.resolve();
    }
  }

  /** Forgets thresholds and figures: the cache begins anew, or a prompt follows. */
  restart(): void {
    if (!this.cache) return;
    if (this.cache.step > 0) this.flush();
    this.cache.restart();
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const restore of this.restore) restore();
    this.step = undefined;
    const { registration, state } = this;
    if (registration) registration.attention.handler = undefined;
    if (registration?.append) registration.append.handler = undefined;
    this.flush();
    this.cache?.destroy();
    if (state) free(state);
    this.state = undefined;
    this.onDispose();
  }

  private attempt<T>(work: () => T | string): T | undefined {
    try {
      const result = work();
      if (typeof result !== 'string') return result;
      this.refuse(result);
    } catch (error) {
      this.refuse(reasonOf(error));
    }
    return undefined;
  }

  private refuse(reason: string): void {
    this.refused ??= reason;
  }

  private listen({ attention, append }: Registration): void {
    attention.handler = (args, stock) => {
      if (this.step) this.step.attend(args, stock);
      else stock(...args);
    };
    if (!append) return;
    append.handler = (args, stock) => {
      if (this.step) this.step.appended++;
      stock(...args);
    };
  }

  private shadow(): void {
    const { pipeline } = this;
    const call = <K extends keyof ChatPipeline>(name: K) =>
      (pipeline[name] as (...args: unknown[]) => unknown).bind(pipeline) as (...args: unknown[]) => never;
    const replace = (name: keyof ChatPipeline, method: (...args: never[]) => unknown) =>
      this.restore.push(shadowMethod(pipeline, name, method as never));

    const decodeName = pipeline.forwardDecodeToken ? 'forwardDecodeToken' : 'decodeStep';
    const promptName = pipeline.samplePrefillStep ? 'samplePrefillStep' : 'prefillStep';
    const [decode, prompt] = [call(decodeName), call(promptName)];
    const [tokens, resetCache, dispose] = [
      call('forwardTokensAndSample'),
      call('resetKVCache'),
      call('dispose'),
    ];
    replace(decodeName, (...args) => this.decode(() => decode(...args)));
    replace(promptName, (...args) => {
      this.beginPrompt();
      return prompt(...args);
    });
    replace('forwardTokensAndSample', (inputIds: number[], isPrefill: boolean) => {
      if (!isPrefill && inputIds.length === 1) return this.decode(() => tokens(inputIds, isPrefill));
      this.beginPrompt();
      return tokens(inputIds, isPrefill);
    });
    replace('resetKVCache', () => {
      this.restart();
      return resetCache();
    });
    replace('dispose', () => {
      this.dispose();
      return dispose();
    });
  }

  private async prepare(registration: Registration): Promise<void> {
    const { device } = registration.context;
    const resources = createStepResources(device);
    const { shape, pageSize } = registration.program;
    const zero = device.createBuffer({ label: 'sift zero', size: 4, usage: GPUBufferUsage.STORAGE });
    try {
      const variants = kernelVariants(device, shape, pagedKv(pageSize));
      const encoder = await firstProven(variants, (variant) =>
        pagedSelfTest(resources, shape, pageSize, variant, this.policy),
      );
      this.crossover = await setCrossover(encoder, this.policy, this.siftFrom, pageSize);
      const proof = await Proof.create(device, shape);
      if (this.disposed) throw new SiftError('DISPOSED', 'disposed of while the kernels were compiled');
      this.proof = proof;
      this.cache = new CacheState(device, this.policy, 1);
      this.state = { registration, resources, encoder, zero };
    } catch (error) {
      free({ resources, zero });
      throw error;
    }
  }

  private beginPrompt(): void {
    if (!this.isEnabled()) return;
    this.used();
    this.conversations++;
    this.restart();
  }

  /** One decode step: `run` launches every layer's attention before it settles. */
  private async decode<T>(run: () => Promise<T>): Promise<T> {
    if (!this.isEnabled() || this.refused !== undefined) return run();
    this.used();
    await this.ready;
    const step = this.disposed || this.step ? undefined : this.beginStep();
    if (!step) return run();
    this.step = step;
    try {
      return await run();
    } finally {
      this.step = undefined;
      // An aborted or failed step leaves what it did in the counters; nothing of it may reach the caller.
      await this.endStep(step).catch((error: unknown) => this.refuse(reasonOf(error)));
    }
  }

  private beginStep(): PagedStep | undefined {
    const { cache, state, pipeline } = this;
    if (!cache || !state || this.refused !== undefined) return undefined;
    // Outgrown buffers may be named by passes of the last step that are still in the runtime's batch.
    this.flush();
    state.resources.scratch.collect();
    const past = pipeline.filledKVCacheLength;
    if (cache.step > 0 && cache.length !== past) {
      this.restart();
      cache.count('the cache was cut or filled from elsewhere: thresholds are learned anew');
    }
    cache.step++;
    const plan = planStep(this.policy, cache.step, past + 1);
    const proof = this.proof instanceof Proof ? this.proof : undefined;
    return new PagedStep(
      state.registration,
      state.encoder,
      cache,
      this.layers,
      state.zero,
      proof ? { ...plan, dense: true } : plan,
      past + 1,
      proof,
    );
  }

  private async endStep(step: PagedStep): Promise<void> {
    const { cache } = this;
    if (!cache || this.disposed) return;
    cache.length = this.pipeline.filledKVCacheLength;
    for (const reason of step.reasons) cache.count(reason);
    const ours = step.attended.size;
    if (step.launches === 0) {
      cache.denseSteps++;
      if (step.appended === 0) this.refuse(LATE);
      else cache.count(`${step.appended} layers used another attention of the library`);
      return;
    }
    // The appends were seen: every layer's attention must have been.
    if (step.appended > step.launches)
      cache.count(`${step.appended - step.launches} layers used another attention of the library`);
    this.countStep(cache, step, ours);
    if (ours < step.launches && step.plan.windowIndex >= 0) this.restartLearning(cache);
    if (step.proof && ours > 0) {
      this.proof = 'passed';
      this.flush();
      const problem = await step.proof.verdict();
      if (problem) this.refuse(problem);
    }
  }

  private countStep(cache: CacheState, step: PagedStep, ours: number): void {
    if (ours > 0 && !step.plan.dense && !step.short) {
      cache.siftedSteps++;
      return;
    }
    cache.denseSteps++;
    if (ours === 0) return;
    cache.denseRows += step.length * ours * (this.state?.registration.program.shape.kvHeads ?? 0);
    if (step.short) {
      cache.shortSteps++;
      cache.countShort(step.attended);
      cache.count(shortReason(this.state!.encoder.siftFrom, this.siftFrom));
    } else if (step.proof)
      cache.count("first step: the runtime's attention was used, and ours held against it");
    else cache.count(isDense(this.policy) ? 'every row is kept (tau 0)' : 'warm-up');
  }

  /** A layer missed a step of the warm-up: a fit over what was not recorded would be wrong. */
  private restartLearning(cache: CacheState): void {
    const reasons = [...cache.reasons];
    this.restart();
    for (const [reason, count] of reasons) cache.reasons.set(reason, count);
  }

  /** Submits what the runtime has batched: what follows is ordered after it. */
  private flush(): void {
    if (this.state) this.state.registration.context.flushCommands?.();
  }
}

function free({ resources, zero }: Pick<Ready, 'resources' | 'zero'>): void {
  destroyStepResources(resources);
  zero.destroy();
}

function reasonOf(error: unknown): string {
  if (error instanceof SiftError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
