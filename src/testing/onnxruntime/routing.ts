import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import { Conversation, type StepAccount } from '../../adapters/shared/conversation.ts';
import { shapeKey } from '../../adapters/transformers/attend-call.ts';
import { ComparingHandler, createComparisons } from '../../adapters/transformers/comparison.ts';
import { DeviceHook } from '../../adapters/transformers/device-hook.ts';
import { Observer } from '../../adapters/transformers/observer.ts';
import type { DispatchHandler } from '../../adapters/transformers/pass-hook.ts';
import { type Encoders, StepHandler } from '../../adapters/transformers/step-handler.ts';
import { fastestVariant } from '../../kernel/proof/variants.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
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

/** The plugin on a device, as `enableSift` sets it up, without a model: the hook of the device, and our kernels for the shapes. */
export class Routing {
  private constructor(
    readonly hook: DeviceHook,
    private readonly resources: StepResources,
    private readonly encoders: Encoders,
  ) {}

  /** Listens to the device from now on, and compiles the dense kernels and those of the policies. */
  static async create(
    device: GPUDevice,
    shapes: readonly AttentionShape[],
    ...policies: readonly ThresholdPolicy[]
  ): Promise<Routing> {
    const hook = DeviceHook.of(device, onnxruntimeWeb);
    hook.acquire();
    const resources = createStepResources(device);
    const encoders = new Map<string, AttentionEncoder>();
    for (const shape of shapes) {
      const variant = fastestVariant(device, shape);
      const all = [presetPolicy('exact'), ...policies];
      encoders.set(shapeKey(shape), await AttentionEncoder.create(resources, shape, variant, ...all));
    }
    return new Routing(hook, resources, encoders);
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

  /**
   * Makes a step in which ours is held against the runtime's in every layer.
   * @returns the layers that were compared, and what is wrong with them; undefined: nothing
   */
  async compare(
    decoder: StandInDecoder,
    step: DecodeStep,
  ): Promise<{ layers: ReadonlySet<number>; fault: string | undefined }> {
    const comparisons = await createComparisons(this.encoders);
    try {
      const handler = new ComparingHandler(this.hook, comparisons, decoder.feeds);
      await this.under(handler, decoder, step);
      if (handler.layers.size === 0) return { layers: handler.layers, fault: undefined };
      const { shape } = decoder.options;
      const fault = await comparisons
        .get(shapeKey(shape))!
        .check()
        .then(
          () => undefined,
          (error: Error) => error.message,
        );
      return { layers: handler.layers, fault };
    } finally {
      for (const comparison of comparisons.values()) comparison.destroy();
    }
  }

  /** Makes a step of a new conversation, routed to our kernels where the plugin can. */
  async route(decoder: StandInDecoder, step: DecodeStep, policy: ThresholdPolicy): Promise<RoutedStep> {
    const { hook, resources, encoders } = this;
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
    const handler = new StepHandler(hook, encoders, conversation, account, decoder.feeds);
    try {
      return { outputs: await this.under(handler, decoder, step), account };
    } finally {
      handler.end();
      conversation.destroy();
    }
  }

  destroy(): void {
    this.hook.release();
    destroyStepResources(this.resources);
  }
}
