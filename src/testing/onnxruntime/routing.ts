import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import { Conversation, type StepAccount } from '../../adapters/shared/conversation.ts';
import { ComparingHandler, createComparisons } from '../../adapters/transformers/comparison.ts';
import { DeviceHook } from '../../adapters/transformers/device-hook.ts';
import { Observer } from '../../adapters/transformers/observer.ts';
import type { DispatchHandler } from '../../adapters/transformers/pass-hook.ts';
import { type Encoders, StepHandler } from '../../adapters/transformers/step-handler.ts';
import { destroyAll, type Owned } from '../../kernel/gpu/allocate.ts';
import { fastestVariant } from '../../kernel/proof/variants.ts';
import { describeShape } from '../../kernel/shape.ts';
import {
  AttentionEncoder,
  createStepResources,
  destroyStepResources,
  type StepResources,
} from '../../kernel/step/encoder.ts';
import { presetPolicy, type ThresholdPolicy } from '../../policy/index.ts';
import type { DecodeStep, StandInDecoder } from './decoder.ts';

/** What a step gave that went through the plugin. */
export interface RoutedStep {
  outputs: Float32Array[];
  account: StepAccount;
}

/** What a step showed in which ours was held against the runtime's. */
export interface Compared {
  /** The layers that were compared. */
  layers: ReadonlySet<number>;
  /** What the runtime put out. */
  outputs: Float32Array[];
  /** What is wrong with ours; undefined: nothing. */
  fault: string | undefined;
  /** The same over a window, or why that was not compared. */
  windowFault: string | undefined;
}

/** The plugin on a device, as `enableSift` sets it up, without a model: the hook of the device, and our kernels for the shapes. */
export class Routing {
  private readonly encoders = new Map<string, AttentionEncoder>();

  private constructor(
    readonly hook: DeviceHook,
    private readonly resources: StepResources,
    private readonly policies: readonly ThresholdPolicy[],
  ) {}

  /**
   * Listens to the device from now on.
   * @param policies those that steps are routed with, besides `exact`
   */
  static async create(device: GPUDevice, ...policies: readonly ThresholdPolicy[]): Promise<Routing> {
    const hook = DeviceHook.of(device, onnxruntimeWeb);
    hook.acquire();
    return new Routing(hook, await createStepResources(device), [presetPolicy('exact'), ...policies]);
  }

  /** Observes a step, and compiles our kernels for the shapes that it shows. */
  private async prepare(decoder: StandInDecoder, step: DecodeStep): Promise<Encoders> {
    const { resources, policies } = this;
    const { layers } = await this.observe(decoder, step);
    const found = new Map<string, AttentionEncoder>();
    for (const shape of layers.values()) {
      const key = describeShape(shape);
      const variant = fastestVariant(resources.device, shape);
      const encoder =
        this.encoders.get(key) ?? (await AttentionEncoder.create(resources, shape, variant, ...policies));
      this.encoders.set(key, encoder);
      found.set(key, encoder);
    }
    return found;
  }

  /** Makes a step while a handler has the device's dispatches. */
  async under(handler: DispatchHandler, decoder: StandInDecoder, step: DecodeStep): Promise<Float32Array[]> {
    if (!this.hook.claim(handler)) throw new Error('Another handler has the dispatches.');
    try {
      return await decoder.outputs(step);
    } finally {
      this.hook.free(handler);
    }
  }

  /** Makes a step that is only observed. */
  async observe(decoder: StandInDecoder, step: DecodeStep): Promise<Observer> {
    const observer = new Observer(this.hook, decoder.feeds);
    await this.under(observer, decoder, step);
    return observer;
  }

  /** Makes a step in which ours is held against the runtime's in every layer, over all keys and over a window. */
  async compare(decoder: StandInDecoder, step: DecodeStep): Promise<Compared> {
    const encoders = await this.prepare(decoder, step);
    const owned: Owned = [];
    const comparisons = await createComparisons(encoders, owned);
    const observer = await this.observe(decoder, step);
    const windows = observer.windows ? await createComparisons(encoders, owned) : new Map();
    const all = [...comparisons.values()];
    try {
      const handler = new ComparingHandler(this.hook, comparisons, windows, decoder.feeds);
      const outputs = await this.under(handler, decoder, step);
      const { layers } = handler;
      const windowFault = await handler.windowFault();
      const faults = layers.size > 0 ? await Promise.all(all.map((each) => each.fault())) : [];
      return { layers, outputs, fault: faults.find((each) => each !== undefined), windowFault };
    } finally {
      destroyAll(owned);
    }
  }

  /** Makes a step of a new conversation, routed to our kernels where the plugin can. */
  async route(
    decoder: StandInDecoder,
    step: DecodeStep,
    policy: ThresholdPolicy,
    windows = true,
  ): Promise<RoutedStep> {
    const { hook, resources } = this;
    const encoders = await this.prepare(decoder, step);
    const { shape, layers } = decoder.options;
    const routed = new Map(Array.from({ length: layers }, (_, layer) => [layer, shape]));
    const conversation = new Conversation(hook.device, policy, 1, routed);
    await conversation.reserve();
    const account = conversation.begin(step.length);
    const { plan } = account;
    for (const encoder of encoders.values()) {
      await resources.scratch.reserve(
        encoder.scratchNeeds({ batch: 1, maxLength: step.length, policy, plan }),
      );
    }
    const handler = new StepHandler(hook, encoders, windows, conversation, account, decoder.feeds);
    try {
      return { outputs: await this.under(handler, decoder, step), account };
    } finally {
      conversation.destroy();
    }
  }

  destroy(): void {
    this.hook.release();
    destroyStepResources(this.resources);
  }
}
