import {
  measuresWindow,
  type StepPlan,
  type ThresholdPolicy,
  usesMoments,
  withExactKeys,
} from '../../policy/index.ts';
import { allocate } from '../gpu/allocate.ts';
import { type AttentionShape, shapeConstants, validateShape } from '../shape.ts';
import type { GridSize, KernelName } from '../text/kernel.ts';
import type { KernelVariant } from '../text/variant.ts';
import type { BoundBuffers } from './bind-groups.ts';
import { BUFFER_SLOT, type CompiledKernel, compileKernels, type KernelSet } from './kernel-set.ts';
import type { LayerState } from './layer-state.ts';
import { ParamsRing, type StepGeometry } from './params.ts';
import { Scratch, type ScratchName, type ScratchNeeds } from './scratch.ts';
import { reserveShadows, shadowGroups } from './shadow.ts';
import { planSplits } from './split-plan.ts';
import type { Dispatch, LayerInputs, PreparedStep, StepInputs } from './step-inputs.ts';
import { policyKernels, type StepKind, stepKernels, stepKind } from './step-kinds.ts';
import type { Tuning } from './tuning.ts';

/**
 * What encoders can share: the device, scratch buffers and parameters. Encoders may share them if their work
 * is submitted in the order in which it is encoded.
 */
export interface StepResources {
  device: GPUDevice;
  scratch: Scratch;
  params: ParamsRing;
  /** {@link ZEROS_BYTES} of zeros, for lengths that are given by `lengthBias` alone. */
  zeros: GPUBuffer;
}

/** Bytes of `StepResources.zeros`. */
export const ZEROS_BYTES = 1024;

/**
 * Makes the resources of a device. {@link destroyStepResources} frees them.
 * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
 */
export async function createStepResources(device: GPUDevice): Promise<StepResources> {
  const [params, zeros] = await allocate(device, 'Parameters need', 0, () => [
    ParamsRing.createBuffer(device),
    device.createBuffer({ label: 'sift zeros', size: ZEROS_BYTES, usage: GPUBufferUsage.STORAGE }),
  ]);
  return { device, scratch: new Scratch(device), params: new ParamsRing(device, params!), zeros: zeros! };
}

/** Destroys the buffers of the resources. */
export function destroyStepResources({ scratch, params, zeros }: StepResources): void {
  zeros.destroy();
  scratch.destroy();
  params.destroy();
}

export type { LayerInputs, PreparedStep, StepInputs } from './step-inputs.ts';

/** Encodes the attention of decode steps for one shape. It knows WebGPU, and knows nothing of the runtime. */
export class AttentionEncoder {
  /** The buffers of the dispatches that are being encoded. */
  private readonly bound: BoundBuffers = [];
  private readonly offset = new Uint32Array(1);
  /**
   * Keys from which a step may sift. Shorter steps read every row, because below some length reading fewer
   * rows is not faster (docs/crossover.md). Such steps count as dense.
   */
  siftFrom = 0;
  /**
   * Only the numbers of workgroups may be changed after the kernels are compiled; they may change at any
   * time.
   */
  tuning: Tuning;

  private constructor(
    readonly shape: AttentionShape,
    readonly resources: StepResources,
    readonly variant: KernelVariant,
    private readonly kernels: KernelSet,
    /** Kernels that note which V rows they read, once they are compiled (noting.ts): steps may then have `notesReads`. */
    readonly noting: { kernels?: KernelSet } = {},
  ) {
    this.tuning = variant.tuning;
  }

  /**
   * Compiles the kernels that the policies use, and makes an encoder for them.
   *
   * @throws {SiftError} `INVALID_OPTION` for a shape outside the limits, `SELF_TEST_FAILED` if a kernel does
   *   not compile.
   */
  static async create(
    resources: StepResources,
    shape: AttentionShape,
    variant: KernelVariant,
    ...policies: readonly ThresholdPolicy[]
  ): Promise<AttentionEncoder> {
    validateShape(shape);
    const names = policies.flatMap((policy) => policyKernels(policy, shape, variant.subgroupSize > 0));
    const kernels = await compileKernels(resources.device, shape, variant, [...new Set(names)]);
    return new AttentionEncoder(shape, resources, variant, kernels);
  }

  /** An encoder with the same kernels and the present tuning on other resources. */
  on(resources: StepResources): AttentionEncoder {
    const other = new AttentionEncoder(this.shape, resources, this.variant, this.kernels, this.noting);
    other.siftFrom = this.siftFrom;
    other.tuning = this.tuning;
    return other;
  }

  private get subgroups(): boolean {
    return this.variant.subgroupSize > 0;
  }

  /** Plans a step and writes its parameters. Call it once for all layers of one geometry. */
  prepare(given: StepInputs): PreparedStep {
    const { queryHeads, kvHeads, headSize } = this.shape;
    const plan = this.shortened(given);
    const short = plan !== given.plan;
    const inputs = short ? { ...given, plan } : given;
    const { policy, batch, firstKey = 0, maxLength } = inputs;
    const { kind, corrects, ...split } = this.plan(inputs);
    const geometry: StepGeometry = {
      batch,
      lengthBias: inputs.lengthBias,
      capacity: inputs.capacity,
      firstKey,
      scale: inputs.scale,
      shadowGroups: kind === 'shadow' ? shadowGroups(firstKey + maxLength) : 0,
      encodeRows: 0,
      statistics: false,
      ...split,
    };
    const { blocks } = shapeConstants(this.shape);
    const { splits } = split;
    const { dense } = plan;
    const size: GridSize = {
      batch,
      splits,
      queryHeads,
      kvHeads,
      blocks,
      vecs: headSize / 4,
      encodeRows: 0,
      dense,
      corrects,
    };
    const names = stepKernels(kind, this.subgroups);
    // A window that is too short to sift stays so, and needs no moments later.
    const measures = plan.measure || (!short && measuresWindow(policy, firstKey, maxLength));
    return {
      ...inputs,
      kind,
      geometry,
      size,
      measure: measures ? this.dispatchOf('moments', size) : undefined,
      attend: names.attend.map((name) => this.dispatchOf(name, size, given.notesReads)),
      finish: names.finish.map((name) => this.dispatchOf(name, size)),
      encodings: new Map(),
      paramsOffset: this.resources.params.push(geometry, policy, plan),
    };
  }

  /** Bytes that a step needs of the scratch buffers. Reserve them before the runtime encodes its commands. */
  scratchNeeds(given: Pick<StepInputs, 'batch' | 'maxLength' | 'policy' | 'plan'>): ScratchNeeds {
    const { kind, splits, scoreStride } = this.plan({ ...given, plan: this.shortened(given) });
    const rows = given.batch * this.shape.queryHeads;
    const names: ScratchName[] = [
      'split_softmax',
      'split_output',
      ...(this.hasScores(kind) ? (['scores'] as const) : []),
    ];
    return Object.fromEntries(
      names.map((name) => [name, rows * bytesPerHead(name, splits, scoreStride, this.shape.headSize)]),
    );
  }

  /**
   * Has all memory that a step on new states needs, so that encoding it creates no buffer.
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  async reserve(
    step: Pick<StepInputs, 'batch' | 'maxLength' | 'firstKey' | 'policy' | 'plan'>,
    states: readonly LayerState[],
  ): Promise<void> {
    const { device, scratch } = this.resources;
    await scratch.reserve(this.scratchNeeds(step));
    const shadows = this.usesShadow(step) ? states.map(({ shadow }) => shadow) : [];
    await reserveShadows(device, shadows, (step.firstKey ?? 0) + step.maxLength);
  }

  /** Whether a step reads the shadow. If so, reserve it for all rows of the cache before the runtime encodes its commands. */
  usesShadow({ policy, plan, maxLength }: Pick<StepInputs, 'maxLength' | 'policy' | 'plan'>): boolean {
    return this.kindOf(policy, this.shortened({ plan, maxLength })) === 'shadow';
  }

  /** Whether steps can read the shadow: if its kernels exist for the shape and the device, and passed their test. */
  get hasShadow(): boolean {
    return this.kernels.shadow !== undefined;
  }

  /** The policy that its steps have: without the shadow if they cannot read it. */
  effective(policy: ThresholdPolicy): ThresholdPolicy {
    return this.hasShadow ? policy : withExactKeys(policy);
  }

  private kindOf(policy: ThresholdPolicy, plan: StepPlan): StepKind {
    return stepKind(this.effective(policy), plan, this.shape, this.subgroups);
  }

  /** Decides the kind of a step, and how its keys are shared among splits. */
  private plan({
    policy,
    plan,
    batch,
    maxLength,
  }: Pick<StepInputs, 'batch' | 'maxLength' | 'policy' | 'plan'>) {
    const { shape } = this;
    const kind = this.kindOf(policy, plan);
    const onePass = kind === 'sift' || kind === 'shadow';
    const edge = kind === 'sift' ? this.kernel('sift').constants.EDGE_SPLITS : 0;
    const corrects = !plan.dense && usesMoments(policy);
    const beside = edge + Number(corrects);
    const { splits, chunk } = planSplits(
      shape,
      batch,
      maxLength,
      kind === 'shadow'
        ? { ...this.tuning, minChunk: this.tuning.shadowChunk, siftWorkgroups: this.tuning.shadowWorkgroups }
        : this.tuning,
      onePass,
      beside,
    );
    const scoreStride = Math.ceil(maxLength / 64) * 64;
    return { kind, corrects, splits: splits + edge, chunk, scoreStride };
  }

  /**
   * Encodes the attention of every split, which leaves its results in the scratch buffers. If the plan says
   * so, the moments of the cache are measured before. {@link combine} must follow.
   *
   * @param pass an open compute pass
   * @param state the layer's state, which is read and, with new moments, written
   * @throws {SiftError} `OUT_OF_MEMORY` if a scratch buffer was not reserved and cannot be bound
   */
  attend(pass: GPUComputePassEncoder, step: PreparedStep, layer: LayerInputs, state: LayerState): void {
    const { bound } = this;
    this.bindStep(step, state);
    bound[BUFFER_SLOT.q] = layer.q;
    bound[BUFFER_SLOT.keys] = layer.keys;
    bound[BUFFER_SLOT.values] = layer.values;
    bound[BUFFER_SLOT.page_table] = layer.pageTable;
    // The kernels of `combine` read the sinks. They are the only input of the layer that those need, and it follows in any case.
    bound[BUFFER_SLOT.sinks] = layer.sinks;
    if (step.notesReads) bound[BUFFER_SLOT.read_bits] = state.readBits;
    const measured = step.kind === 'shadow' && this.encodeShadow(pass, step, state);
    if (step.measure && !measured) this.encode(pass, step.paramsOffset, [step.measure], state);
    this.encode(pass, step.paramsOffset, step.attend, state);
  }

  /**
   * Encodes the merging of what {@link attend} left in the scratch buffers, with the corrections for dropped
   * rows. A step that learns also records its thresholds; a fit holds from the next step on.
   *
   * @param output [batch, queryHeads, headSize], written
   * @param lse only if the KV layout merges: f32 [batch, queryHeads], the base-2 log-sum-exp of every head's
   *   scores, written
   */
  combine(
    pass: GPUComputePassEncoder,
    step: PreparedStep,
    output: GPUBufferBinding,
    state: LayerState,
    lse?: GPUBufferBinding,
  ): void {
    const { bound } = this;
    this.bindStep(step, state);
    bound[BUFFER_SLOT.output] = output;
    bound[BUFFER_SLOT.lse] = lse;
    this.encode(pass, step.paramsOffset, step.finish, state);
  }

  /**
   * Encodes the rows of K that the layer's shadow lacks.
   * @returns whether the moments were measured, as they are with the statistics of the shadow
   */
  private encodeShadow(pass: GPUComputePassEncoder, step: PreparedStep, state: LayerState): boolean {
    const { firstKey, shadowGroups: groups } = step.geometry;
    this.bound[BUFFER_SLOT.shadow] = state.shadow.get(groups);
    const encoding = state.shadow.encode(firstKey + step.maxLength);
    if (!encoding) return false;
    const { rows, statistics } = encoding;
    const key = `${rows} ${statistics}`;
    let known = step.encodings.get(key);
    if (!known) {
      const names: readonly KernelName[] = statistics ? ['moments', 'encode'] : ['encode'];
      const geometry = { ...step.geometry, encodeRows: rows, statistics };
      known = {
        paramsOffset: this.resources.params.push(geometry, step.policy, step.plan),
        dispatches: names.map((name) => this.dispatchOf(name, { ...step.size, encodeRows: rows })),
      };
      step.encodings.set(key, known);
    }
    this.encode(pass, known.paramsOffset, known.dispatches, state);
    return statistics;
  }

  /**
   * The plan of a step, dense if it is too short to sift. Moments are still measured, for longer steps that
   * may follow. A step that learns keeps its plan.
   */
  private shortened({ plan, maxLength }: Pick<StepInputs, 'plan' | 'maxLength'>): StepPlan {
    if (maxLength >= this.siftFrom || plan.dense || plan.windowIndex >= 0) return plan;
    return { ...plan, dense: true, measure: plan.measure && Number.isFinite(this.siftFrom) };
  }

  private kernel(name: KernelName): CompiledKernel {
    const kernel = this.kernels[name];
    if (!kernel) throw new Error(`the ${name} kernel was not compiled for this policy`);
    return kernel;
  }

  private dispatchOf(name: KernelName, size: GridSize, notesReads = false): Dispatch {
    const kernel = (notesReads ? this.noting.kernels?.[name] : undefined) ?? this.kernel(name);
    const [x, y, z] = kernel.kernel.grid(size, kernel.constants);
    return { kernel, x, y, z };
  }

  /** Binds the buffers that any kernel of a step may have. */
  private bindStep(step: PreparedStep, state: LayerState): void {
    const { bound } = this;
    bound[BUFFER_SLOT.lengths] = step.lengths;
    bound[BUFFER_SLOT.split_softmax] = this.scratch('split_softmax', step);
    bound[BUFFER_SLOT.split_output] = this.scratch('split_output', step);
    if (this.hasScores(step.kind)) bound[BUFFER_SLOT.scores] = this.scratch('scores', step);
    bound[BUFFER_SLOT.layer_state] = state.layerBinding;
    bound[BUFFER_SLOT.groups_state] = state.groupsBinding;
    bound[BUFFER_SLOT.window] = state.windowBinding;
  }

  /** Whether a step stores scores: if it takes two passes or learns. */
  private hasScores(kind: StepKind): boolean {
    return kind !== 'sift' && kind !== 'shadow' && (kind !== 'dense' || !this.subgroups);
  }

  private scratch(name: ScratchName, { batch, geometry }: PreparedStep): GPUBufferBinding {
    const { queryHeads, headSize } = this.shape;
    const bytes = bytesPerHead(name, geometry.splits, geometry.scoreStride, headSize);
    return this.resources.scratch.get(name, batch * queryHeads * bytes);
  }

  private encode(
    pass: GPUComputePassEncoder,
    paramsOffset: number,
    dispatches: readonly Dispatch[],
    state: LayerState,
  ): void {
    const { device, params } = this.resources;
    this.offset[0] = paramsOffset;
    for (const { kernel, x, y, z } of dispatches) {
      pass.setPipeline(kernel.pipeline);
      const group = state.bindGroups.get(device, kernel, params.buffer, this.bound);
      pass.setBindGroup(0, group, this.offset, 0, 1);
      pass.dispatchWorkgroups(x, y, z);
    }
  }
}

/** Bytes that a step needs of a scratch buffer for each query head of each sequence. */
function bytesPerHead(name: ScratchName, splits: number, scoreStride: number, headSize: number): number {
  switch (name) {
    case 'scores':
      return scoreStride * 4;
    case 'split_softmax':
      return splits * 8;
    case 'split_output':
      return (splits + 1) * (headSize + 4) * 4;
  }
}
