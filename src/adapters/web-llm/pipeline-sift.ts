import { webLlm } from '../../../patches/web-llm.ts';
import { SiftError } from '../../errors.ts';
import { allocate, destroyAll, type Owned } from '../../kernel/gpu/allocate.ts';
import { pagedSelfTest } from '../../kernel/proof/paged-self-test.ts';
import { firstProven, kernelVariants } from '../../kernel/proof/variants.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import {
  type AttentionEncoder,
  createStepResources,
  destroyStepResources,
  type StepResources,
} from '../../kernel/step/encoder.ts';
import { pagedKv } from '../../kernel/text/kv-paged.ts';
import type { SiftFrom } from '../../options.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { CrossoverReport } from '../../report.ts';
import { Conversation } from '../shared/conversation.ts';
import { setCrossover, shortReason } from '../shared/crossover.ts';
import { queued } from '../shared/enabling-queue.ts';
import { intercept } from '../shared/interception.ts';
import { LifeCycle } from '../shared/life-cycle.ts';
import { StockComparison } from '../shared/stock-comparison.ts';
import type { ChatPipeline } from './engine.ts';
import { ComparedStep, type PagedLayers, type PagedStep, RoutedStep } from './step.ts';
import { type Registration, register } from './trampoline.ts';

const LATE = new SiftError(
  'LATE_ENABLE',
  'The model had decoded before enableSift was called, and its compiled code keeps the kernel that it launched first. `await engine.reload(modelId)` mends it: the plugin is in time for the new pipeline.',
);

/** What marks a request, in what the engine hands on of it: the list of its stop words, which is the caller's own. */
function markOf(argument: unknown): unknown {
  return (argument as { stop?: unknown } | null | undefined)?.stop;
}

/** What is ready once the kernels are compiled and tested. */
interface Ready {
  registration: Registration;
  resources: StepResources;
  encoder: AttentionEncoder;
  zero: GPUBuffer;
}

/** What a pipeline's sift has of the engine's. */
export interface EngineSift {
  readonly policy: ThresholdPolicy;
  readonly siftFrom: SiftFrom;
  readonly enabled: boolean;
  /** Ends the enabling that is under way. */
  readonly signal: AbortSignal | undefined;
  /** The pipeline runs a prompt or a decode step. */
  used(pipeline: PipelineSift): void;
  /** The pipeline was disposed of. */
  gone(pipeline: PipelineSift): void;
}

/** One of the requests of a comparison. */
export interface ComparedRequest {
  /** An object of the request's that the engine hands on to the pipeline, by which its prompt is known. */
  readonly mark: object;
  /** Thresholds and figures of its decode steps; undefined: they are the runtime's alone. */
  readonly conversation: Conversation | undefined;
}

/** Sifted attention on one chat pipeline: from `loadedModelIdToPipeline.set` until it is disposed of. */
export class PipelineSift {
  conversations = 0;
  /** The app's. */
  conversation: Conversation | undefined;
  crossover: CrossoverReport | undefined;
  /** Why the pipeline stays with the runtime's kernel. */
  refused: SiftError | undefined;
  /** Settles when the kernels may be used, or the pipeline is refused; never rejects. */
  readonly ready: Promise<void>;
  readonly life: LifeCycle;
  private state: Ready | undefined;
  /** Holds the first step against the runtime's; undefined once that is done. */
  private comparison: StockComparison | undefined;
  /** What it works with. */
  private readonly proofBuffers: Owned = [];
  private step: PagedStep | undefined;
  /** The layers that are routed, by the buffers of their pages and by number. */
  private pages: PagedLayers = new Map();
  private readonly routed = new Map<number, AttentionShape>();
  /** A request of a comparison that is to come or under way. */
  private request: ComparedRequest | undefined;
  /** It is under way: the engine runs one request at a time. */
  private comparing = false;

  constructor(
    readonly pipeline: ChatPipeline,
    private readonly engine: EngineSift,
  ) {
    this.life = LifeCycle.begin(pipeline, 'model', engine.signal);
    this.life.defer(() => engine.gone(this));
    const registration = this.register();
    if (registration) {
      this.listen(registration);
      this.interceptPipeline();
      this.life.watch(registration.context.device);
      this.ready = this.life
        .during(() => this.prepare(registration))
        .catch((error: unknown) => this.refuse(error));
    } else {
      this.ready = Promise.resolve();
    }
  }

  dispose(): void {
    this.life.dispose();
  }

  private register(): Registration | undefined {
    try {
      const result = register(this.pipeline, webLlm);
      if (typeof result !== 'string') return result;
      this.refuse(
        new SiftError('UNSUPPORTED_MODEL', `The attention of this model cannot be sifted: ${result}.`),
      );
    } catch (error) {
      this.refuse(error);
    }
    return undefined;
  }

  private refuse(error: unknown): void {
    if (this.refused) return;
    const message = error instanceof Error ? error.message : String(error);
    this.refused =
      error instanceof SiftError
        ? error
        : new SiftError('UNSUPPORTED_MODEL', `The attention of this model cannot be sifted: ${message}`, {
            cause: error,
          });
  }

  private listen({ attention, append }: Registration): void {
    attention.handler = (args, stock) => {
      if (this.step) this.step.attend(args, stock);
      else stock(...args);
    };
    if (append) {
      append.handler = (args, stock) => {
        if (this.step) this.step.appended++;
        stock(...args);
      };
    }
    this.life.defer(() => {
      this.step = undefined;
      attention.handler = undefined;
      if (append) append.handler = undefined;
    });
  }

  private interceptPipeline(): void {
    const { pipeline, life } = this;
    const before = <K extends keyof ChatPipeline>(
      name: K,
      take: (args: unknown[], run: () => never) => unknown,
    ) => {
      const interception = intercept(pipeline, name, (original, it) => {
        const method = original as (...args: unknown[]) => never;
        const replacement = (...args: unknown[]) => {
          const run = () => method.apply(pipeline, args);
          return it.active ? take(args, run) : run();
        };
        return replacement as ChatPipeline[K];
      });
      life.defer(() => interception.remove());
    };
    before(pipeline.forwardDecodeToken ? 'forwardDecodeToken' : 'decodeStep', (_, run) => this.decode(run));
    before(pipeline.samplePrefillStep ? 'samplePrefillStep' : 'prefillStep', (args, run) => {
      this.beginPrompt(args);
      return run();
    });
    before('forwardTokensAndSample', (args, run) => {
      const [inputIds, isPrefill] = args as [number[], boolean];
      if (!isPrefill && inputIds.length === 1) return this.decode(run);
      this.beginPrompt(args);
      return run();
    });
    before('resetKVCache', (_, run) => {
      this.restart();
      return run();
    });
    before('dispose', (_, run) => {
      this.dispose();
      return run();
    });
  }

  private prepare(registration: Registration): Promise<void> {
    const { device } = registration.context;
    const { life, engine } = this;
    return queued(async () => {
      life.check();
      const resources = await createStepResources(device);
      life.own(() => destroyStepResources(resources));
      const { shape, pageSize } = registration.program;
      const [zero] = await allocate(device, 'A buffer needs', 0, () => [
        device.createBuffer({ label: 'sift zero', size: 4, usage: GPUBufferUsage.STORAGE }),
      ]);
      life.own(() => zero!.destroy());
      const variants = kernelVariants(device, shape, pagedKv(pageSize));
      const encoder = await firstProven(variants, (variant) => {
        life.check();
        return pagedSelfTest(resources, shape, pageSize, variant, engine.policy);
      });
      life.check();
      this.crossover = await setCrossover(encoder, engine.policy, engine.siftFrom, pageSize);
      life.own(() => this.endComparison());
      this.comparison = await StockComparison.create(encoder, this.proofBuffers);
      const conversation = new Conversation(device, engine.policy, 1, this.routed);
      this.conversation = conversation;
      life.own(() => {
        this.flush();
        conversation.destroy();
        this.state = undefined;
      });
      this.state = { registration, resources, encoder, zero: zero! };
      life.start();
    }, engine.signal);
  }

  /** Forgets thresholds and figures: the cache begins anew, or a prompt follows. */
  private restart(): void {
    const { current: conversation } = this;
    if (!conversation || this.life.state === 'lost') return;
    if (conversation.step > 0) this.flush();
    conversation.restart();
  }

  /** A request of a comparison is to come, or undefined: it has ended. */
  set compared(request: ComparedRequest | undefined) {
    this.request = request;
    this.comparing = false;
  }

  /** A conversation beside the app's. Whoever asks for it gives it to {@link endCompared}. */
  newConversation(): Conversation {
    this.life.check();
    return new Conversation(this.state!.resources.device, this.engine.policy, 1, this.routed);
  }

  endCompared(conversation: Conversation): void {
    this.flush();
    conversation.destroy();
  }

  private beginPrompt(args: readonly unknown[]): void {
    const { request } = this;
    this.comparing = request !== undefined && args.some((arg) => markOf(arg) === request.mark);
    if (!this.routes) return;
    this.engine.used(this);
    if (!this.comparing) this.conversations++;
    this.restart();
  }

  /** The conversation of the request that is under way. */
  private get current(): Conversation | undefined {
    return this.comparing ? this.request?.conversation : this.conversation;
  }

  /** Whether steps are to be routed. */
  private get routes(): boolean {
    return this.comparing ? this.current !== undefined : this.engine.enabled;
  }

  /** One decode step: `run` launches every layer's attention before it settles. */
  private async decode<T>(run: () => Promise<T>): Promise<T> {
    if (!this.routes || this.refused) return run();
    this.engine.used(this);
    await this.ready;
    const step = this.step ? undefined : await this.beginStep().catch((error: unknown) => this.refuse(error));
    if (!step) return run();
    this.step = step;
    try {
      return await run();
    } finally {
      this.step = undefined;
      // An aborted or failed step leaves what it did in the counters; nothing of it may reach the caller.
      await this.endStep(step).catch((error: unknown) => this.refuse(error));
    }
  }

  private async beginStep(): Promise<PagedStep | undefined> {
    const { current: conversation, state, pipeline, comparison } = this;
    if (!conversation || !state || this.refused || this.life.state !== 'on') return undefined;
    const { registration, zero, encoder, resources } = state;
    // Outgrown buffers may be named by passes of the last step that are still in the runtime's batch.
    this.flush();
    resources.scratch.collect();
    const past = pipeline.filledKVCacheLength;
    if (conversation.step > 0 && conversation.length !== past) {
      this.restart();
      conversation.count('the cache was cut or filled from elsewhere: thresholds are learned anew');
    }
    const account = conversation.begin(past + 1);
    const { plan, length: maxLength } = account;
    try {
      if (comparison) {
        await comparison.reserve(maxLength);
        return new ComparedStep(registration, zero, account, comparison);
      }
      if (conversation.failed) throw new SiftError('OUT_OF_MEMORY', conversation.failed);
      if (!conversation.ready) await conversation.reserve();
      const needs = encoder.scratchNeeds({ batch: 1, maxLength, policy: this.engine.policy, plan });
      if (!resources.scratch.has(needs)) await resources.scratch.reserve(needs);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      conversation.fail(reason);
      account.reasons.add(reason);
      this.finish(account);
      return undefined;
    }
    return new RoutedStep(registration, zero, account, encoder, conversation, this.pages);
  }

  private async endStep(step: PagedStep): Promise<void> {
    const { account, launches, appended } = step;
    if (this.life.state !== 'on') return;
    if (step instanceof ComparedStep && launches > 0)
      account.reasons.add("first step: the runtime's attention was used, and ours held against it");
    // Every layer appends: its attention must have been launched, too.
    if (appended > launches)
      account.reasons.add(`${appended - launches} layers used another attention of the library`);
    this.finish(account);
    if (launches === 0 && appended === 0) this.refuse(LATE);
    if (step instanceof ComparedStep && step.layers.size > 0) await this.judge(step);
  }

  private finish(account: PagedStep['account']): void {
    const { current: conversation } = this;
    if (!conversation) return;
    conversation.length = this.pipeline.filledKVCacheLength;
    conversation.finish(account, ({ shortFrom }) => shortReason(shortFrom, this.engine.siftFrom));
  }

  /** What came of the first step. From the next one on the layers that were compared are routed. */
  private async judge({ layers }: ComparedStep): Promise<void> {
    this.flush();
    try {
      await this.comparison?.check();
    } finally {
      this.endComparison();
    }
    this.pages = layers;
    const { shape } = this.state!.registration.program;
    for (const layer of layers.values()) this.routed.set(layer, shape);
  }

  private endComparison(): void {
    destroyAll(this.proofBuffers);
    this.comparison = undefined;
  }

  /** Submits what the runtime has batched: what follows is ordered after it. */
  private flush(): void {
    if (this.life.state !== 'lost') this.state?.registration.context.flushCommands?.();
  }
}
