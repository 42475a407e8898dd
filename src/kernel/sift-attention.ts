import { invalidOption, SiftError } from '../errors.ts';
import { planStep, presetPolicy, type ThresholdPolicy, validatePolicy } from '../policy/index.ts';
import { allocate, destroyAll, type Owned } from './gpu/allocate.ts';
import { selfTest } from './proof/self-test.ts';
import { fastestVariant, firstProven, kernelVariants } from './proof/variants.ts';
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
  /** How thresholds are found. Default: the `balanced` preset. */
  policy?: ThresholdPolicy | undefined;
  /** Layers. Each has thresholds and figures of its own. Default 1. */
  layers?: number | undefined;
  /** Sequences that are decoded side by side. Default 1. */
  batch?: number | undefined;
  /** Whether to use subgroup operations. Default: if the device has them. */
  subgroups?: boolean | undefined;
  /** Resources of the device that other instances may share. Default: resources of its own. */
  resources?: StepResources | undefined;
  /** Keys from which steps sift. Shorter steps read every row. Default 0. */
  siftFrom?: number | undefined;
  /**
   * Whether to hold the kernels against an f64 reference before they are used, and to fall back to a simpler variant
   * of them where they fail. It takes as long as a few decode steps. Default true.
   */
  selfTest?: boolean | undefined;
  /** @internal Changes to the device's tuning, for measurements. */
  tuning?: Partial<Tuning> | undefined;
}

/** What a decode step has in common for all layers. */
export interface StepShape {
  /**
   * Keys in the cache, that of the new token included: one number for all sequences, or i32 [batch] on the
   * GPU and their maximum.
   */
  length: number | { buffer: GPUBufferBinding; max: number };
  /** Rows from one KV head to the next in K and V. Default: `firstKey` and the (largest) length together. */
  capacity?: number | undefined;
  /**
   * The row of K and V that is the first key: those before it are outside a sliding window, and `length` does not count them. Default 0.
   */
  firstKey?: number | undefined;
  /** Factor of q · k. Default 1/sqrt(headSize). */
  scale?: number | undefined;
}

/** The tensors of one layer, on the GPU. */
export interface LayerTensors extends LayerInputs {
  /** [batch, queryHeads, headSize], written. */
  output: GPUBufferBinding;
}

/** A decode step that has begun. Encode every layer once. */
export interface DecodeStep {
  /** The number of the step: 1 for the first after the prompt. */
  readonly step: number;
  /** Whether the step reads every row: in the warm-up, below `siftFrom`, or if the policy keeps every row. */
  readonly dense: boolean;
  /**
   * Encodes one layer's attention into a compute pass.
   * @throws {SiftError} `INVALID_OPTION` for a layer that does not exist and for sinks where the shape has none or the other way
   *   round, `OUT_OF_MEMORY` if the device cannot bind the scratch buffers that the step needs.
   */
  encode(pass: GPUComputePassEncoder, layer: number, tensors: LayerTensors): void;
}

/**
 * Decode attention on plain GPU buffers. Thresholds stay on the GPU. {@link createSiftAttention} makes it.
 */
export class SiftAttention {
  /** Layers, each with thresholds and figures of its own. */
  readonly layers: number;
  private steps = 0;
  private destroyed = false;

  /** @internal */
  constructor(
    private readonly encoder: AttentionEncoder,
    readonly policy: ThresholdPolicy,
    private readonly states: readonly LayerState[],
    readonly batch: number,
    /** i32 [batch] of zeros. */
    private readonly zeros: GPUBuffer,
    private readonly ownsResources: boolean,
  ) {
    this.layers = states.length;
  }

  /**
   * Begins the next decode step.
   * @throws {SiftError} `INVALID_OPTION` for a length, a capacity or a first key out of range, `DISPOSED` after `destroy`.
   */
  beginStep(shape: StepShape): DecodeStep {
    if (this.destroyed) throw new SiftError('DISPOSED', 'This SiftAttention was destroyed; create another.');
    const given = typeof shape.length === 'number' ? undefined : shape.length;
    const maxLength = given ? given.max : (shape.length as number);
    if (!Number.isInteger(maxLength) || maxLength < 1)
      throw invalidOption('length', maxLength, 'an integer of at least 1');
    const { firstKey = 0 } = shape;
    if (!Number.isInteger(firstKey) || firstKey < 0)
      throw invalidOption('firstKey', firstKey, 'an integer of at least 0');
    const rows = firstKey + maxLength;
    const capacity = shape.capacity ?? rows;
    if (!Number.isInteger(capacity) || capacity < rows) {
      throw invalidOption('capacity', capacity, `an integer of at least firstKey and the length (${rows})`);
    }
    const plan = planStep(this.policy, ++this.steps, rows);
    const prepared = this.encoder.prepare({
      batch: this.batch,
      lengths: given ? given.buffer : { buffer: this.zeros },
      lengthBias: given ? 0 : maxLength,
      maxLength,
      capacity,
      firstKey,
      scale: shape.scale ?? 1 / Math.sqrt(this.encoder.shape.headSize),
      policy: this.policy,
      plan,
    });
    return {
      step: plan.step,
      dense: prepared.plan.dense,
      encode: (pass, layer, tensors) => {
        const state = this.state(layer);
        const { sinks } = this.encoder.shape;
        if (Boolean(tensors.sinks) !== Boolean(sinks))
          throw invalidOption(
            'sinks',
            tensors.sinks,
            sinks ? 'a buffer: the shape has sinks' : 'left out: the shape has none',
          );
        this.encoder.attend(pass, prepared, tensors, state);
        this.encoder.combine(pass, prepared, tensors.output, state);
      },
    };
  }

  /** Forgets thresholds, moments and figures. Call it when the KV cache begins anew. */
  reset(): void {
    const { device } = this.encoder.resources;
    const commands = device.createCommandEncoder();
    for (const state of this.states) state.reset(commands);
    device.queue.submit([commands.finish()]);
    this.steps = 0;
  }

  /**
   * What the heads of a layer have learned, and their running statistics. It waits for the GPU: do not call
   * it at every step.
   * @throws {SiftError} `INVALID_OPTION` for a layer that does not exist, `OUT_OF_MEMORY`, `DEVICE_LOST`.
   */
  figures(layer = 0): Promise<LayerFigures> {
    return this.state(layer).read();
  }

  /** Frees the buffers. Resources that were given are left alone. */
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
 * Decode attention on plain GPU buffers: `softmax(scale · q Kᵀ) V` for one query token of each sequence. It
 * reads only the V rows whose probability is at or above some head's threshold. The idea is SiftAttention
 * (https://arxiv.org/abs/2506.05300).
 *
 * K and V are [batch, kvHeads, capacity, headSize], q and the output [batch, queryHeads, headSize], all of
 * the shape's `dtype`.
 *
 * If the shape has attention sinks, each layer has a score for each query head that takes part in the sum of the softmax and has no V
 * row. Rows are kept or dropped by their probabilities among the keys, as without sinks, and so are the figures.
 *
 * @throws {SiftError} `INVALID_OPTION` for a shape, an option or a policy out of range, `SELF_TEST_FAILED` if
 *   no variant of the kernels compiles on the device and computes the right thing, `OUT_OF_MEMORY`, `DEVICE_LOST`.
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
  const chosen = options.subgroups !== undefined || options.tuning !== undefined;
  const variants = chosen ? [fastestVariant(device, shape, options)] : kernelVariants(device, shape);
  const owned: Owned = [];
  try {
    const resources = options.resources ?? (await createStepResources(device));
    if (!options.resources) owned.push({ destroy: () => destroyStepResources(resources) });
    const encoder = await firstProven(variants, (variant) =>
      options.selfTest === false
        ? AttentionEncoder.create(resources, shape, variant, policy)
        : selfTest(resources, shape, variant, policy),
    );
    encoder.siftFrom = options.siftFrom ?? 0;
    const states = await LayerState.allocate(device, new Array(layers).fill(shape), batch, policy);
    owned.push(...states);
    const [zeros] = await allocate(device, 'Lengths need', 0, () => [
      device.createBuffer({ label: 'sift zeros', size: batch * 4, usage: GPUBufferUsage.STORAGE }),
    ]);
    return new SiftAttention(encoder, policy, states, batch, zeros!, options.resources === undefined);
  } catch (error) {
    destroyAll(owned);
    throw error;
  }
}
