import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import type { SiftError } from '../../errors.ts';
import { lossOf } from '../../kernel/gpu/allocate.ts';
import { describeShape } from '../../kernel/shape.ts';
import type { StepResources } from '../../kernel/step/encoder.ts';
import type { SiftFrom } from '../../options.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { CrossoverReport, SiftReport } from '../../report.ts';
import type { Conversation, RoutedLayers, StepAccount } from '../shared/conversation.ts';
import { shortReason } from '../shared/crossover.ts';
import { intercept } from '../shared/interception.ts';
import { buildReport, stockCacheReport } from '../shared/report.ts';
import { LivingSift } from '../shared/sift.ts';
import { Conversations } from './conversations.ts';
import type { DeviceHook } from './device-hook.ts';
import { generationBound } from './kv/capacity.ts';
import type { SharedCache, SharedRun } from './kv/shared-cache.ts';
import { unshare, viewOf } from './kv/views.ts';
import { MaskHook } from './mask/mask-hook.ts';
import type { TrialTarget } from './observe.ts';
import { layerOfPastKey, type OrtTensor, presentName } from './runtime.ts';
import type { SessionHook, Tensors } from './session-hook.ts';
import { type Encoders, StepHandler } from './step-handler.ts';

/** What was found out about a pipeline when sift was enabled. */
export interface Findings {
  encoders: Encoders;
  layers: RoutedLayers;
  policy: ThresholdPolicy;
  /** What the runtime's attention binds, by which its version is known. */
  interface: string;
  /** Whether attention over a window was proved to be the same. */
  windows: boolean;
  /** Why other layers are the runtime's. */
  reasons: readonly string[];
  /** ... or why there is none. */
  sharedCache: SharedCache | string;
  siftFrom: SiftFrom;
  crossover: readonly CrossoverReport[];
}

/** A run of the user's. */
interface Run {
  feeds: Tensors;
  rest: unknown[];
  shared: SharedRun | undefined;
  /** Routes it, if it is a decode step. */
  handler: StepHandler | undefined;
  account: StepAccount | undefined;
}

/** The past of a run: whose rows they are, and how many. */
interface Past {
  length: number;
  batch: number;
  /** The shared cache, or the buffer of layer 0's keys. */
  owner: object | undefined;
}

/** Sifted attention on one transformers.js pipeline. */
export class TransformersSift extends LivingSift {
  private readonly sessionHook: SessionHook;
  private readonly shared: SharedCache | undefined;
  private readonly conversations: Conversations;
  private readonly masks: MaskHook;
  /** The next run begins a prompt, however short: `generate` was called. */
  private promptNext = false;
  /** Name of the first past key of the session. */
  private readonly firstKey: string;
  /** Tensors whose end is noted. */
  private readonly followed = new WeakSet<OrtTensor>();

  constructor(
    { model, session, sessionHook, life }: TrialTarget,
    private readonly hook: DeviceHook,
    private readonly resources: StepResources,
    private readonly findings: Findings,
  ) {
    const { sharedCache, policy, layers } = findings;
    super(policy, life);
    this.sessionHook = sessionHook;
    this.shared = typeof sharedCache === 'string' ? undefined : sharedCache;
    this.conversations = new Conversations(hook.device, policy, layers);
    this.firstKey = session.inputNames.find((name) => layerOfPastKey(name) !== undefined)!;
    const generate = intercept(model, 'generate', (original, interception) => (...args) => {
      if (interception.active) this.beginGeneration(generationBound(model, args[0]));
      return original.apply(model, args);
    });
    this.masks = new MaskHook(model, () => this.enabled);
    sessionHook.route = (feeds, rest) => this.run(feeds, rest);
    life.defer(() => {
      sessionHook.route = undefined;
      this.masks.remove();
      generate.remove();
      this.conversations.destroy();
    });
  }

  report(): Promise<SiftReport> {
    const { reasons, crossover, sharedCache } = this.findings;
    const { unknown } = this.masks;
    const versions = onnxruntimeWeb.tested[this.findings.interface];
    return buildReport({
      state: this.life.state,
      lost: this.life.lost,
      policy: this.policy,
      runtime: {
        name: onnxruntimeWeb.runtime,
        version: versions?.join(' or ') ?? null,
        tested: versions !== undefined,
      },
      conversation: this.conversations.current,
      conversations: this.conversations.count,
      notes: [
        ...reasons.map((reason) => `seen while enabling: ${reason}`),
        ...this.withoutShadow().map(
          (shape) => `all of K is read: there is no shadow for ${shape} on this device`,
        ),
        ...(unknown === undefined ? [] : [`the library copies the attention mask at every step: ${unknown}`]),
      ],
      crossover,
      kvCache: this.shared?.report() ?? stockCacheReport(String(sharedCache)),
    });
  }

  /** Shapes whose layers read all of K although the policy has a shadow. */
  private withoutShadow(): string[] {
    const encoders = this.policy.keys === 'shadow' ? [...this.findings.encoders.values()] : [];
    return encoders.filter(({ hasShadow }) => !hasShadow).map(({ shape }) => describeShape(shape));
  }

  private beginGeneration(bound: number | undefined): void {
    this.promptNext = true;
    if (this.shared) this.shared.bound = bound;
  }

  private async run(feeds: Tensors, rest: unknown[]): Promise<Tensors> {
    const prompt = this.promptNext;
    this.promptNext = false;
    if (!this.enabled) return this.runStock(feeds, rest);
    this.masks.observe(feeds);
    const shared = await this.shared?.begin(feeds, rest);
    const newTokens = (feeds.input_ids ?? feeds.inputs_embeds)?.dims[1] ?? 0;
    const past = this.pastOf(feeds, shared, newTokens);
    const decodes = newTokens === 1 && past.length > 0 && !prompt;
    const conversation = this.conversationOf(past, decodes);
    const length = past.length + newTokens;
    const account = decodes ? conversation.begin(length) : undefined;
    const handler = account && (await this.handlerOf(conversation, account, shared?.feeds ?? feeds));
    const run = { feeds, rest, shared, handler, account };
    try {
      const outputs = await this.runSession(run);
      this.follow(conversation, presentOf(this.firstKey, outputs, rest[0]), length);
      return outputs;
    } finally {
      if (account)
        conversation.finish(account, (step) => shortReason(step.shortFrom, this.findings.siftFrom));
      if (handler) this.resources.scratch.collect();
    }
  }

  /** Runs the session, in place where that was planned; if the runtime refuses that, on its own cache. */
  private async runSession({ feeds, rest, shared, handler, account }: Run): Promise<Tensors> {
    const { run } = this.sessionHook;
    if (!shared) return this.routed(handler, account, () => this.runStock(feeds, rest));
    try {
      return shared.finish(await this.routed(handler, account, () => run(shared.feeds, shared.fetches)));
    } catch (error) {
      shared.abort();
      account?.giveUp('a run of the runtime failed');
      if (await lossOf(this.hook.device)) throw error;
      // The rows up to here are as they were, since only those behind them are written: the step can be run again. If that fails, too, it
      // was not because of the cache, and the error is what the runtime alone would have said.
      const outputs = await this.runStock(feeds, rest);
      this.shared!.refused(error);
      return outputs;
    }
  }

  /** Runs the session on the runtime's own cache. */
  private async runStock(feeds: Tensors, rest: unknown[]): Promise<Tensors> {
    // On a lost device the runtime's own error is the one to be seen.
    await unshare(Object.values(feeds)).catch((error: unknown) => {
      if ((error as SiftError).code !== 'DEVICE_LOST') throw error;
    });
    return this.sessionHook.run(feeds, ...rest);
  }

  /** Lets a handler have the dispatches of a run, unless another session's run is under way. */
  private async routed(
    handler: StepHandler | undefined,
    account: StepAccount | undefined,
    run: () => Promise<Tensors>,
  ): Promise<Tensors> {
    if (!handler) return run();
    if (!this.hook.claim(handler)) {
      account?.reasons.add('another session ran at the same time');
      return run();
    }
    try {
      return await run();
    } finally {
      this.hook.free(handler);
    }
  }

  private pastOf(feeds: Tensors, shared: SharedRun | undefined, newTokens: number): Past {
    const key = feeds[this.firstKey];
    // A caller's cache of a fixed capacity is longer than what it holds, which the mask tells.
    const total = feeds.attention_mask?.dims.at(-1);
    const rows = key?.dims[2] ?? 0;
    return {
      length: total === undefined ? rows : Math.min(rows, total - newTokens),
      batch: key?.dims[0] ?? 1,
      owner: shared?.cache ?? ownerOf(key),
    };
  }

  private conversationOf(past: Past, decodes: boolean): Conversation {
    const known = this.conversations.find(past.owner, past.length, past.batch);
    if (!known) return this.conversations.create(past.batch);
    if (!decodes) {
      // Another prompt on a kept cache: thresholds are learned anew for every request.
      known.restart();
      this.conversations.count++;
    }
    return known;
  }

  /** What routes a decode step; undefined, with the reason counted, if nothing can be routed. */
  private async handlerOf(
    conversation: Conversation,
    account: StepAccount,
    feeds: Tensors,
  ): Promise<StepHandler | undefined> {
    const obstacle = await this.reserve(conversation, account);
    if (obstacle === undefined)
      return new StepHandler(
        this.hook,
        this.findings.encoders,
        this.findings.windows,
        conversation,
        account,
        feeds,
      );
    account.reasons.add(obstacle);
    return undefined;
  }

  /** Has the memory that a step needs, or says why not. */
  private async reserve(
    conversation: Conversation,
    { plan, length }: StepAccount,
  ): Promise<string | undefined> {
    const { resources } = this;
    if (conversation.failed) return conversation.failed;
    try {
      if (!conversation.ready) await conversation.reserve();
      for (const encoder of this.findings.encoders.values()) {
        const step = { batch: conversation.batch, maxLength: length, policy: conversation.policy, plan };
        if (encoder.usesShadow(step)) await conversation.reserveShadow(length);
        const needs = encoder.scratchNeeds({ ...step, policy: conversation.policy });
        await resources.scratch.reserve(needs);
      }
      return undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      conversation.fail(reason);
      return reason;
    }
  }

  /** Notes whose cache a run has written, and when that is disposed of. */
  private follow(conversation: Conversation, present: OrtTensor | undefined, length: number): void {
    const owner = ownerOf(present);
    if (!present || !owner) return;
    this.conversations.follow(conversation, owner, length);
    if (this.followed.has(present)) return;
    this.followed.add(present);
    const dispose = present.dispose.bind(present);
    present.dispose = () => {
      this.conversations.release(owner, length);
      dispose();
    };
  }
}

/** The present keys of a run: put out by the runtime, or written to a tensor that the caller passed for it, which is then not put out. */
function presentOf(firstKey: string, outputs: Tensors, fetches: unknown): OrtTensor | undefined {
  const name = presentName(firstKey);
  const passed = typeof fetches === 'object' && fetches ? (fetches as Partial<Tensors>)[name] : undefined;
  return outputs[name] ?? passed ?? undefined;
}

/** What identifies the KV cache that a key tensor belongs to. */
function ownerOf(tensor: OrtTensor | undefined): object | undefined {
  return viewOf(tensor)?.cache ?? (tensor?.location === 'gpu-buffer' ? tensor.gpuBuffer : undefined);
}
