import { type StepPlan, type ThresholdPolicy, usesMoments } from '../../policy/index.ts';
import { type AttentionShape, shapeConstants, validateShape } from '../shape.ts';
import type { GridSize, KernelName } from '../text/kernel.ts';
import type { KernelVariant } from '../text/variant.ts';
import type { BoundBuffers } from './bind-groups.ts';
import { BUFFER_SLOT, type CompiledKernel, compileKernels, type KernelSet } from './kernel-set.ts';
import type { LayerState } from './layer-state.ts';
import { ParamsRing, type StepGeometry } from './params.ts';
import { Scratch, type ScratchName, type ScratchNeeds } from './scratch.ts';
import { planSplits } from './split-plan.ts';
import { policyKernels, type StepKind, stepKernels, stepKind } from './step-kinds.ts';
import type { Tuning } from './tuning.ts';

/** Resources that encoders share whose work is submitted in the order in which it is encoded. */
export interface StepResources {
  device: GPUDevice;
  scratch: Scratch;
  params: ParamsRing;
}

export function createStepResources(device: GPUDevice): StepResources {
  return { device, scratch: new Scratch(device), params: new ParamsRing(device) };
}

export function destroyStepResources({ scratch, params }: StepResources): void {
  scratch.destroy();
  params.destroy();
}

/** Inputs of a decode step that stay the same from its first pass to its last. */
export interface StepInputs {
  batch: number;
  /** i32 [batch]: keys in the cache of each sequence, less `lengthBias`. */
  lengths: GPUBufferBinding;
  lengthBias: number;
  /** The largest length of the batch: the grid is sized by it. */
  maxLength: number;
  /** Rows between two KV heads in K and V. */
  capacity: number;
  /** Factor of q·k, usually 1/sqrt(headSize). */
  scale: number;
  policy: ThresholdPolicy;
  plan: StepPlan;
}

/** A kernel and its grid. */
interface Dispatch {
  kernel: CompiledKernel;
  x: number;
  y: number;
  z: number;
}

/** A step whose parameters are in place; pass it on to the layers. */
export interface PreparedStep extends StepInputs {
  kind: StepKind;
  geometry: StepGeometry;
  paramsOffset: number;
  attend: readonly Dispatch[];
  finish: readonly Dispatch[];
}

/** Tensors of one layer. q, K and V as `AttentionShape` says; K and V are [batch, kvHeads, capacity, headSize]. */
export interface LayerInputs {
  q: GPUBufferBinding;
  keys: GPUBufferBinding;
  values: GPUBufferBinding;
  /** Of a paged cache: i32, the pages of the sequence. */
  pageTable?: GPUBufferBinding;
}

/** Encodes the passes of a decode step for one shape. Knows WebGPU, knows no runtime. */
export class AttentionEncoder {
  private readonly bound: BoundBuffers = [];
  private readonly offset = new Uint32Array(1);
  /**
   * Keys from which a step may sift; shorter ones read every row, also where the policy would drop some: reading less is no
   * gain below some length (docs/crossover.md has what was measured). Such steps count as dense.
   */
  siftFrom = 0;
  /** Numbers of workgroups may be changed at any time; the rest is compiled in. */
  tuning: Tuning;

  private constructor(
    readonly shape: AttentionShape,
    readonly resources: StepResources,
    readonly variant: KernelVariant,
    private readonly kernels: KernelSet,
  ) {
    this.tuning = variant.tuning;
  }

  /**
   * Compiles the kernels that policies use.
   * @throws {SiftError} `INVALID_OPTION` for a shape outside the limits, `SELF_TEST_FAILED` if a kernel does not compile.
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

  /** The same kernels on other resources, as they are tuned now. */
  on(resources: StepResources): AttentionEncoder {
    const other = new AttentionEncoder(this.shape, resources, this.variant, this.kernels);
    other.siftFrom = this.siftFrom;
    other.tuning = this.tuning;
    return other;
  }

  private get subgroups(): boolean {
    return this.variant.subgroupSize > 0;
  }

  /** Plans a step and writes its parameters; once a step serves all layers of one geometry. */
  prepare(given: StepInputs): PreparedStep {
    const { queryHeads, kvHeads, headSize } = this.shape;
    const plan = this.shortened(given);
    const inputs = plan === given.plan ? given : { ...given, plan };
    const { policy, batch } = inputs;
    const { kind, corrects, ...split } = this.plan(inputs);
    const geometry: StepGeometry = {
      batch,
      lengthBias: inputs.lengthBias,
      capacity: inputs.capacity,
      scale: inputs.scale,
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
      dense,
      corrects,
    };
    const names = stepKernels(kind, this.subgroups);
    const measure: readonly KernelName[] = plan.measure ? ['moments'] : [];
    return {
      ...inputs,
      kind,
      geometry,
      attend: [...measure, ...names.attend].map((name) => this.dispatchOf(name, size)),
      finish: names.finish.map((name) => this.dispatchOf(name, size)),
      paramsOffset: this.resources.params.push(geometry, policy, plan),
    };
  }

  /** What a step needs of the scratch buffers: to be reserved before the runtime's commands are encoded. */
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

  /** How the keys of a step are shared out. */
  private plan({
    policy,
    plan,
    batch,
    maxLength,
  }: Pick<StepInputs, 'batch' | 'maxLength' | 'policy' | 'plan'>) {
    const { shape } = this;
    const kind = stepKind(policy, plan, shape, this.subgroups);
    const edge = kind === 'sift' ? this.kernel('sift').constants.EDGE_SPLITS : 0;
    const corrects = !plan.dense && usesMoments(policy);
    const beside = edge + Number(corrects);
    const { splits, chunk } = planSplits(shape, batch, maxLength, this.tuning, kind === 'sift', beside);
    const scoreStride = Math.ceil(maxLength / 64) * 64;
    return { kind, corrects, splits: splits + edge, chunk, scoreStride };
  }

  /**
   * Attention of every split: dense or sifted in one pass, or the scores and then the V rows at or above the threshold. Before that, where
   * the step is to measure them, the moments of V. {@link combine} must follow.
   */
  attend(pass: GPUComputePassEncoder, step: PreparedStep, layer: LayerInputs, state: LayerState): void {
    const { bound } = this;
    this.bindStep(step, state);
    bound[BUFFER_SLOT.q] = layer.q;
    bound[BUFFER_SLOT.keys] = layer.keys;
    bound[BUFFER_SLOT.values] = layer.values;
    bound[BUFFER_SLOT.page_table] = layer.pageTable;
    this.encode(pass, step, step.attend, state);
  }

  /**
   * Adds up what {@link attend} left in the scratch buffers, and what stands for the rows that were not read, and writes `output`
   * [batch, queryHeads, headSize]. Where thresholds are learned it records this step's: a fit holds from the next step on.
   *
   * @param lse where the encoder's cache layout merges: the base-2 log-sum-exp of every head's scores, f32 [batch, queryHeads]
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
    this.encode(pass, step, step.finish, state);
  }

  /** The plan of a step that reads every row because it is short; moments of V serve the longer ones that may follow. */
  private shortened({ plan, maxLength }: Pick<StepInputs, 'plan' | 'maxLength'>): StepPlan {
    if (maxLength >= this.siftFrom || plan.dense || plan.windowIndex >= 0) return plan;
    return { ...plan, dense: true, measure: plan.measure && Number.isFinite(this.siftFrom) };
  }

  private kernel(name: KernelName): CompiledKernel {
    const kernel = this.kernels[name];
    if (!kernel) throw new Error(`the ${name} kernel was not compiled for this policy`);
    return kernel;
  }

  private dispatchOf(name: KernelName, size: GridSize): Dispatch {
    const kernel = this.kernel(name);
    const [x, y, z] = kernel.kernel.grid(size, kernel.constants);
    return { kernel, x, y, z };
  }

  /** The buffers that every kernel of a step may have. */
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

  /** Only kernels of two passes and those that learn leave scores behind. */
  private hasScores(kind: StepKind): boolean {
    return kind !== 'sift' && (kind !== 'dense' || !this.subgroups);
  }

  private scratch(name: ScratchName, { batch, geometry }: PreparedStep): GPUBufferBinding {
    const { queryHeads, headSize } = this.shape;
    const bytes = bytesPerHead(name, geometry.splits, geometry.scoreStride, headSize);
    return this.resources.scratch.get(name, batch * queryHeads * bytes);
  }

  private encode(
    pass: GPUComputePassEncoder,
    step: PreparedStep,
    dispatches: readonly Dispatch[],
    state: LayerState,
  ): void {
    const { device, params } = this.resources;
    this.offset[0] = step.paramsOffset;
    for (const { kernel, x, y, z } of dispatches) {
      pass.setPipeline(kernel.pipeline);
      const group = state.bindGroups.get(device, kernel, params.buffer, this.bound);
      pass.setBindGroup(0, group, this.offset, 0, 1);
      pass.dispatchWorkgroups(x, y, z);
    }
  }
}

/** Bytes that a scratch buffer needs for each query head of each sequence. */
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
