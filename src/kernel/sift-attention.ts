import { invalidOption, SiftError } from '../errors.ts';
import { planStep, presetPolicy, type ThresholdPolicy, validatePolicy } from '../policy/index.ts';
import { fastestVariant } from './proof/variants.ts';
import { type AttentionShape, validateShape } from './shape.ts';
import {
  AttentionEncoder,
  createStepResources,
  destroyStepResources,
  type LayerInputs,
  type StepResources,
} from './step/encoder.ts';
import { type LayerFigures, LayerState } from './step/layer-state.ts';
import type { Tuning } from './step/tuning.ts';

/** Options of {@link createSiftAttention}. */
export interface SiftAttentionOptions {
  /** How thresholds are found; default the `balanced` preset. */
  policy?: ThresholdPolicy;
  /** Layers that keep thresholds of their own. Default 1. */
  layers?: number;
  /** Sequences decoded side by side. Default 1. */
  batch?: number;
  /** Use subgroup operations; default: if the device has them. */
  subgroups?: boolean;
  /** Share scratch buffers with other instances on the device. */
  resources?: StepResources;
  /** Keys from which steps sift; shorter ones read every row. Default 0. */
  siftFrom?: number;
  /** @internal Other than the device's own, for measurements. */
  tuning?: Partial<Tuning>;
}

/** What a decode step has in common for all layers. */
export interface StepShape {
  /** Keys in the cache, the new token's included: one number, or i32 [batch] on the GPU with the largest of them. */
  length: number | { buffer: GPUBufferBinding; max: number };
  /** Rows between two KV heads in K and V. Default: `length`. */
  capacity?: number;
  /** Factor of q·k. Default 1/sqrt(headSize). */
  scale?: number;
}

/** Tensors of one layer on the GPU. */
export interface LayerTensors extends LayerInputs {
  /** [batch, queryHeads, headSize], written. */
  output: GPUBufferBinding;
}

/** One decode step, begun; encode every layer once. */
export interface DecodeStep {
  /** The step's number since the prompt, from 1. */
  readonly step: number;
  /** Whether every row is kept (warm-up, or a policy that sifts nothing). */
  readonly dense: boolean;
  /** Encodes one layer's attention into a compute pass. */
  encode(pass: GPUComputePassEncoder, layer: number, tensors: LayerTensors): void;
}

/** Decode attention on plain GPU buffers, with thresholds learned on the GPU. Made by {@link createSiftAttention}. */
export class SiftAttention {
  private readonly states: LayerState[];
  private readonly zeros: GPUBuffer;
  private steps = 0;
  private destroyed = false;

  /** @internal */
  constructor(
    private readonly encoder: AttentionEncoder,
    readonly policy: ThresholdPolicy,
    layers: number,
    readonly batch: number,
    private readonly ownsResources: boolean,
  ) {
    const { device } = encoder.resources;
    this.states = Array.from({ length: layers }, () => new LayerState(device, encoder.shape, batch, policy));
    this.zeros = device.createBuffer({ label: 'sift zeros', size: batch * 4, usage: GPUBufferUsage.STORAGE });
  }

  /**
   * Begins the next decode step.
   * @throws {SiftError} `INVALID_OPTION` for a length or capacity out of range; `DISPOSED` after `destroy`.
   */
  beginStep(shape: StepShape): DecodeStep {
    if (this.destroyed) throw new SiftError('DISPOSED', 'This SiftAttention was destroyed; create another.');
    const given = typeof shape.length === 'number' ? undefined : shape.length;
    const maxLength = given ? given.max : (shape.length as number);
    if (!Number.isInteger(maxLength) || maxLength < 1)
      throw invalidOption('length', maxLength, 'an integer of at least 1');
    const capacity = shape.capacity ?? maxLength;
    if (!Number.isInteger(capacity) || capacity < maxLength) {
      throw invalidOption('capacity', capacity, `an integer of at least the length (${maxLength})`);
    }
    const plan = planStep(this.policy, ++this.steps, maxLength);
    const prepared = this.encoder.prepare({
      batch: this.batch,
      lengths: given ? given.buffer : { buffer: this.zeros },
      lengthBias: given ? 0 : maxLength,
      maxLength,
      capacity,
      scale: shape.scale ?? 1 / Math.sqrt(this.encoder.shape.headSize),
      policy: this.policy,
      plan,
    });
    return {
      step: plan.step,
      dense: prepared.plan.dense,
      encode: (pass, layer, tensors) => {
        const state = this.state(layer);
        this.encoder.attend(pass, prepared, tensors, state);
        this.encoder.combine(pass, prepared, tensors.output, state);
      },
    };
  }

  /** Forgets thresholds and figures: call when the KV cache begins anew. */
  reset(): void {
    const { device } = this.encoder.resources;
    const commands = device.createCommandEncoder();
    for (const state of this.states) state.reset(commands);
    device.queue.submit([commands.finish()]);
    this.steps = 0;
  }

  /** What a layer's heads have learned and done. Reads back from the GPU; do not call it every step. */
  figures(layer = 0): Promise<LayerFigures> {
    return this.state(layer).read();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    for (const state of this.states) state.destroy();
    this.zeros.destroy();
    if (this.ownsResources) destroyStepResources(this.encoder.resources);
  }

  private state(layer: number): LayerState {
    const state = this.states[layer];
    if (!state) throw invalidOption('layer', layer, `0 to ${this.states.length - 1}`);
    return state;
  }
}

/**
 * Decode attention on plain GPU buffers: `softmax(scale * q K^T) V` for one query token per sequence, reading only the V rows
 * whose probability is at or above each head's threshold. K and V are [batch, kvHeads, capacity, headSize].
 *
 * @throws {SiftError} `INVALID_OPTION` for a shape, an option or a policy out of range, `SELF_TEST_FAILED` if the device rejects a kernel.
 */
export async function createSiftAttention(
  device: GPUDevice,
  shape: AttentionShape,
  options: SiftAttentionOptions = {},
): Promise<SiftAttention> {
  const { layers = 1, batch = 1 } = options;
  const policy = validatePolicy(options.policy ?? presetPolicy('balanced'));
  for (const [name, value] of Object.entries({ layers, batch })) {
    if (!Number.isInteger(value) || value < 1) throw invalidOption(name, value, 'an integer of at least 1');
  }
  validateShape(shape);
  const variant = fastestVariant(device, shape, options);
  const resources = options.resources ?? createStepResources(device);
  const encoder = await AttentionEncoder.create(resources, shape, variant, policy);
  encoder.siftFrom = options.siftFrom ?? 0;
  return new SiftAttention(encoder, policy, layers, batch, options.resources === undefined);
}
