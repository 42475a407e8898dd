import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import type { CompareOptions, ComparePrompt, Comparison } from '../../comparison.ts';
import { invalidOption, type SiftError } from '../../errors.ts';
import type { InspectListener, InspectOptions } from '../../inspection.ts';
import { lossOf } from '../../kernel/gpu/allocate.ts';
import { describeShape } from '../../kernel/shape.ts';
import type { StepResources } from '../../kernel/step/encoder.ts';
import { LaterPart } from '../../later-part.ts';
import type { SiftFrom } from '../../options.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { CrossoverReport, SiftReport } from '../../report.ts';
import type { Conversation, RoutedLayers, StepAccount } from '../shared/conversation.ts';
import { shortReason } from '../shared/crossover.ts';
import { intercept } from '../shared/interception.ts';
import { buildReport, stockCacheReport } from '../shared/report.ts';
import { LivingSift } from '../shared/sift.ts';
import { type Client, conversationOf, ownerOf, type Past, presentOf } from './client.ts';
import type { compare as Compare } from './compare.ts';
import { Conversations } from './conversations.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Inspection } from './inspection.ts';
import { generationBound } from './kv/capacity.ts';
import type { SharedCache, SharedRun } from './kv/shared-cache.ts';
import { unshare } from './kv/views.ts';
import { MaskHook } from './mask/mask-hook.ts';
import type { TrialTarget } from './observe.ts';
import { layerOfPastKey, type OrtTensor } from './runtime.ts';
import type { SessionHook, Tensors } from './session-hook.ts';
import { type Encoders, StepHandler } from './step-handler.ts';

/** The code of comparisons. */
export const COMPARISONS = new LaterPart<{ compare: typeof Compare }>('The code of comparisons');

/** The code of inspections. */
export const INSPECTIONS = new LaterPart<{ Inspection: typeof Inspection }>('The code of inspections');

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

/** A run that is routed. */
interface Run {
  client: Client;
  feeds: Tensors;
  rest: unknown[];
  shared: SharedRun | undefined;
  /** Routes it, if it is a decode step. */
  handler: StepHandler | undefined;
  account: StepAccount | undefined;
}

/** Sifted attention on one transformers.js pipeline. */
export class TransformersSift extends LivingSift {
  private readonly sessionHook: SessionHook;
  /** The app's runs. */
  private readonly app: Client;
  private readonly masks: MaskHook;
  /** Whether masks are kept now, where that is not a matter of being enabled. */
  private masksKept: boolean | undefined;
  /** Name of the first past key of the session. */
  private readonly firstKey: string;
  /** Tells what steps read, once somebody has asked for it. */
  private inspection: Promise<Inspection> | undefined;
  private inspecting: Inspection | undefined;
  /** Tensors whose end is noted. */
  private readonly followed = new WeakSet<OrtTensor>();

  constructor(
    readonly target: TrialTarget,
    private readonly hook: DeviceHook,
    private readonly resources: StepResources,
    private readonly findings: Findings,
  ) {
    const { model, session, sessionHook, life } = target;
    const { sharedCache, policy } = findings;
    super(policy, life);
    this.sessionHook = sessionHook;
    this.app = this.client(typeof sharedCache === 'string' ? undefined : sharedCache);
    this.firstKey = session.inputNames.find((name) => layerOfPastKey(name) !== undefined)!;
    const generate = intercept(model, 'generate', (original, interception) => (...args) => {
      if (interception.active) this.beginGeneration(generationBound(model, args[0]));
      return original.apply(model, args);
    });
    this.masks = new MaskHook(model, () => this.masksKept ?? this.enabled);
    sessionHook.route = (feeds, rest) => this.runApp(feeds, rest);
    life.defer(() => {
      sessionHook.route = undefined;
      this.masks.remove();
      generate.remove();
      this.app.conversations.destroy();
    });
  }

  protected fullReport(): Promise<SiftReport> {
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
      conversation: this.app.conversations.current,
      conversations: this.app.conversations.count,
      notes: [
        ...reasons.map((reason) => `seen while enabling: ${reason}`),
        ...this.withoutShadow().map(
          (shape) => `all of K is read: there is no shadow for ${shape} on this device`,
        ),
        ...(unknown === undefined ? [] : [`the library copies the attention mask at every step: ${unknown}`]),
      ],
      crossover,
      kvCache: this.app.shared?.report() ?? stockCacheReport(String(sharedCache)),
    });
  }

  async compare(prompt: ComparePrompt, options: CompareOptions = {}): Promise<Comparison> {
    const { compare } = await COMPARISONS.get();
    return compare(this, prompt, options);
  }

  async inspect(listener: InspectListener, options: InspectOptions = {}): Promise<() => void> {
    if (typeof listener !== 'function') throw invalidOption('listener', listener, 'a function');
    this.life.check();
    this.inspection ??= this.loadInspection();
    try {
      this.inspecting = await this.inspection;
    } catch (error) {
      this.inspection = undefined;
      // Why the life ended says more than what failed by it.
      this.life.check();
      throw error;
    }
    return this.inspecting.add(listener, options);
  }

  private async loadInspection(): Promise<Inspection> {
    const { Inspection } = await INSPECTIONS.get();
    const { encoders, layers } = this.findings;
    return Inspection.create({ device: this.hook.device, encoders, layers, policy: this.policy });
  }

  /** Shapes whose layers read all of K although the policy has a shadow. */
  private withoutShadow(): string[] {
    const encoders = this.policy.keys === 'shadow' ? [...this.findings.encoders.values()] : [];
    return encoders.filter(({ hasShadow }) => !hasShadow).map(({ shape }) => describeShape(shape));
  }

  private beginGeneration(bound: number | undefined): void {
    this.app.promptNext = true;
    if (this.app.shared) this.app.shared.bound = bound;
  }

  /**
   * A client beside the app.
   * @param bound rows that its KV caches reach at most
   */
  newClient(bound: number): Client {
    const client = this.client(this.app.shared?.anew());
    if (client.shared) client.shared.bound = bound;
    return client;
  }

  /** Calls a function of the library's with its attention masks kept, or with its own. */
  withMasks<T>(kept: boolean, call: () => T): T {
    this.masksKept = kept;
    try {
      return call();
    } finally {
      this.masksKept = undefined;
    }
  }

  private client(shared: SharedCache | undefined): Client {
    const conversations = new Conversations(this.hook.device, this.policy, this.findings.layers);
    return { conversations, shared, promptNext: false };
  }

  private async runApp(feeds: Tensors, rest: unknown[]): Promise<Tensors> {
    if (this.enabled) return this.run(this.app, feeds, rest);
    this.app.promptNext = false;
    return this.runStock(feeds, rest);
  }

  /** A run of the session that is routed, whether sift is on or off. */
  async run(client: Client, feeds: Tensors, rest: unknown[]): Promise<Tensors> {
    const prompt = client.promptNext;
    client.promptNext = false;
    this.masks.observe(feeds);
    const shared = await client.shared?.begin(feeds, rest);
    const newTokens = (feeds.input_ids ?? feeds.inputs_embeds)?.dims[1] ?? 0;
    const past = this.pastOf(feeds, shared, newTokens);
    const decodes = newTokens === 1 && past.length > 0 && !prompt;
    const conversation = conversationOf(client.conversations, past, decodes);
    const length = past.length + newTokens;
    const account = decodes ? conversation.begin(length) : undefined;
    const handler = account && (await this.handlerOf(conversation, account, shared?.feeds ?? feeds));
    const inspection = handler && client === this.app ? this.inspecting : undefined;
    await inspection?.begin(conversation, account!);
    const run = { client, feeds, rest, shared, handler, account };
    try {
      const outputs = await this.runSession(run);
      this.follow(client.conversations, conversation, presentOf(this.firstKey, outputs, rest[0]), length);
      inspection?.finish(conversation, account!);
      return outputs;
    } finally {
      if (account)
        conversation.finish(account, (step) => shortReason(step.shortFrom, this.findings.siftFrom));
      if (handler) this.resources.scratch.collect();
    }
  }

  /** Runs the session, in place where that was planned; if the runtime refuses that, on its own cache. */
  private async runSession({ client, feeds, rest, shared, handler, account }: Run): Promise<Tensors> {
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
      client.shared!.refused(error);
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
  private follow(
    conversations: Conversations,
    conversation: Conversation,
    present: OrtTensor | undefined,
    length: number,
  ): void {
    const owner = ownerOf(present);
    if (!present || !owner) return;
    conversations.follow(conversation, owner, length);
    if (this.followed.has(present)) return;
    this.followed.add(present);
    const dispose = present.dispose.bind(present);
    present.dispose = () => {
      conversations.release(owner, length);
      dispose();
    };
  }
}
