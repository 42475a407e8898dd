import { type StepPlan, type ThresholdPolicy, usesMoments } from '../policy/index.ts';
import { CONTIGUOUS_KV, type KvLayout } from './kv-layout.ts';
import { type Geometry, ParamsRing } from './params.ts';
import { createKernels, type Kernel, type Kernels } from './pipelines.ts';
import { planSplits } from './plan.ts';
import { Scratch, type ScratchName } from './scratch.ts';
import { type AttentionShape, canSiftInOnePass, shapeConstants, validateShape } from './shape.ts';
import type { LayerState } from './state.ts';
import { type Tuning, tuningOf } from './tuning.ts';
import { combineSlices } from './wgsl.ts';

/** Resources that all encoders of a device share. */
export interface DeviceResources {
  device: GPUDevice;
  scratch: Scratch;
  params: ParamsRing;
}

export function createDeviceResources(device: GPUDevice): DeviceResources {
  return { device, scratch: new Scratch(device), params: new ParamsRing(device) };
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

/** A step whose parameters are in place; pass it on to the layers. */
export interface PreparedStep extends StepInputs {
  geometry: Geometry;
  paramsOffset: number;
}

/** Tensors of one layer. q, K and V as `AttentionShape` says; K and V are [batch, kvHeads, capacity, headSize]. */
export interface LayerInputs {
  q: GPUBufferBinding;
  keys: GPUBufferBinding;
  values: GPUBufferBinding;
  /** Further buffers of the encoder's {@link KvLayout}, a page table for one. */
  kv?: readonly GPUBufferBinding[];
}

const NO_BUFFERS: readonly GPUBufferBinding[] = [];

/** Encodes the passes of a decode step for one shape. Knows WebGPU, knows no runtime. */
export class AttentionEncoder {
  /** Reused by every dispatch. */
  private readonly bindings: GPUBufferBinding[] = [];
  private readonly offset = new Uint32Array(1);
  /** Workgroups of combine for a head. */
  private readonly slices: number;
  /**
   * Keys from which a step may sift; shorter ones read every row, also where the policy would drop some: reading less is no
   * gain below some length (docs/kernel.md has what was measured). Such steps count as dense.
   */
  siftFrom = 0;

  private constructor(
    readonly shape: AttentionShape,
    readonly resources: DeviceResources,
    private readonly kernels: Kernels,
    /** Numbers of workgroups may be changed at any time; the rest is compiled in. */
    public tuning: Tuning,
  ) {
    this.slices = combineSlices(shape, tuning);
  }

  /**
   * Compiles the kernels.
   * @throws {SiftError} `INVALID_OPTION` for a shape outside the limits, `SELF_TEST_FAILED` if a kernel does not compile.
   */
  static async create(
    resources: DeviceResources,
    shape: AttentionShape,
    subgroups: boolean,
    kv: KvLayout = CONTIGUOUS_KV,
    tuning: Tuning = tuningOf(resources.device),
  ): Promise<AttentionEncoder> {
    validateShape(shape);
    const kernels = await createKernels(resources.device, shape, subgroups, kv, tuning);
    return new AttentionEncoder(shape, resources, kernels, tuning);
  }

  /** Whether a step with an estimated normaliser runs in one pass; else the exact one takes its place. */
  get siftsInOnePass(): boolean {
    return canSiftInOnePass(this.shape, this.kernels.sift !== undefined);
  }

  /** Plans a step and writes its parameters; once a step serves all layers of one geometry. */
  prepare(given: StepInputs): PreparedStep {
    const short = given.maxLength < this.siftFrom && !given.plan.dense && given.plan.windowIndex < 0;
    const inputs = short ? { ...given, plan: this.short(given.plan) } : given;
    const onePass = this.inOnePass(inputs);
    const known = onePass ? this.kernels.knownSplits : 0;
    const { splits, chunk } = planSplits(
      this.shape,
      inputs.batch,
      inputs.maxLength,
      this.tuning,
      onePass,
      known + rests(inputs),
    );
    const geometry: Geometry = {
      batch: inputs.batch,
      lengthBias: inputs.lengthBias,
      capacity: inputs.capacity,
      scoreStride: Math.ceil(inputs.maxLength / 64) * 64,
      splits: splits + known,
      chunk,
      scale: inputs.scale,
    };
    const paramsOffset = this.resources.params.push(geometry, inputs.policy, inputs.plan);
    return { ...inputs, geometry, paramsOffset };
  }

  /**
   * Attention of every split: dense or sifted in one pass, or the scores and the gather of the V rows at or above the threshold. Before
   * that, where the step is to measure them, the moments of V. {@link combine} must follow.
   */
  attend(pass: GPUComputePassEncoder, step: PreparedStep, layer: LayerInputs, state: LayerState): void {
    const { shape, kernels } = this;
    const { splits } = step.geometry;
    const workgroups = shape.kvHeads * shapeConstants(shape).blocks;
    const kv = layer.kv ?? NO_BUFFERS;
    const learns = step.plan.windowIndex >= 0;
    if (step.plan.measure) {
      this.begin(step.lengths, layer.keys, layer.values, state.headsBinding);
      const vecs = shape.headSize / 4;
      const parts = Math.ceil(vecs / Math.max(1, Math.floor(this.tuning.combineWorkgroup / vecs)));
      this.dispatch(pass, kernels.moments!, step, state, parts, shape.kvHeads, step.batch, kv);
    }
    const dense = step.plan.dense && (learns ? kernels.denseLearn : kernels.dense);
    if (dense) {
      const list = this.begin(step.lengths, layer.q, layer.keys, layer.values);
      list.push(this.scratch('partials', step), this.scratch('partOut', step));
      if (learns) list.push(this.scratch('scores', step));
      this.dispatch(pass, dense, step, state, splits, workgroups, step.batch, kv);
      return;
    }
    const beside = rests(step);
    if (this.inOnePass(step)) {
      const list = this.begin(step.lengths, layer.q, layer.keys, layer.values, state.headsBinding);
      list.push(this.scratch('partials', step), this.scratch('partOut', step));
      this.dispatch(pass, kernels.sift!, step, state, splits + beside, workgroups, step.batch, kv);
      return;
    }
    const scores = this.scratch('scores', step);
    const partials = this.scratch('partials', step);
    this.begin(step.lengths, layer.q, layer.keys, scores, partials);
    this.dispatch(pass, kernels.scores!, step, state, splits, workgroups, step.batch, kv);
    const list = this.begin(step.lengths, scores, partials, state.headsBinding, layer.values);
    list.push(this.scratch('partOut', step), layer.q);
    this.dispatch(pass, kernels.gather!, step, state, splits + beside, workgroups, step.batch, kv);
  }

  /**
   * Adds up what {@link attend} left in the scratch buffers, and what stands for the rows it did not read, and writes `output` [batch, queryHeads, headSize]; then, where
   * thresholds are learned, records this step's. A fit holds from the next step on.
   *
   * @param lse where the encoder's {@link KvLayout} merges: the base-2 log-sum-exp of every head's scores, f32 [batch, queryHeads]
   */
  combine(
    pass: GPUComputePassEncoder,
    step: PreparedStep,
    output: GPUBufferBinding,
    state: LayerState,
    lse?: GPUBufferBinding,
  ): void {
    const { kernels } = this;
    const { queryHeads } = this.shape;
    const { dense, windowIndex } = step.plan;
    const learns = windowIndex >= 0;
    const partials = this.scratch('partials', step);
    const partOut = this.scratch('partOut', step);
    if (!dense || !learns) {
      const list = this.begin(step.lengths, partials, partOut);
      list.push(state.headsBinding, state.groupsBinding, output);
      if (lse) list.push(lse);
      const workgroups = queryHeads * this.slices + (dense ? 0 : kernels.figureKeepers);
      this.dispatch(pass, kernels.combine!, step, state, workgroups, step.batch, 1, NO_BUFFERS);
    }
    if (learns) {
      const list = this.begin(step.lengths, partials, partOut, this.scratch('scores', step));
      list.push(state.headsBinding, state.windowBinding, output);
      if (lse) list.push(lse);
      const workgroups = dense ? 2 * queryHeads : queryHeads;
      this.dispatch(pass, kernels.combineLearn!, step, state, workgroups, step.batch, 1, NO_BUFFERS);
    }
  }

  /** A step that reads every row; moments of V serve the longer ones that may follow. */
  private short(plan: StepPlan): StepPlan {
    return { ...plan, dense: true, measure: plan.measure && Number.isFinite(this.siftFrom) };
  }

  /** One pass leaves no scores behind, and one workgroup serves all heads of a group. */
  private inOnePass(step: StepInputs): boolean {
    return (
      step.policy.normaliser === 'estimate' &&
      !step.plan.dense &&
      step.plan.windowIndex < 0 &&
      this.siftsInOnePass
    );
  }

  private scratch(name: ScratchName, step: PreparedStep): GPUBufferBinding {
    const rows = step.batch * this.shape.queryHeads;
    return this.resources.scratch.get(name, rows * bytesPerHead(name, step.geometry, this.shape.headSize));
  }

  /** The buffers of the next dispatch; more may be pushed. */
  private begin(
    a: GPUBufferBinding,
    b: GPUBufferBinding,
    c: GPUBufferBinding,
    d?: GPUBufferBinding,
    e?: GPUBufferBinding,
    f?: GPUBufferBinding,
  ): GPUBufferBinding[] {
    const { bindings } = this;
    bindings.length = 0;
    bindings.push(a, b, c);
    if (d) bindings.push(d);
    if (e) bindings.push(e);
    if (f) bindings.push(f);
    return bindings;
  }

  /** Dispatches a kernel with the buffers begun. */
  private dispatch(
    pass: GPUComputePassEncoder,
    kernel: Kernel,
    step: PreparedStep,
    state: LayerState,
    x: number,
    y: number,
    z: number,
    kv: readonly GPUBufferBinding[],
  ): void {
    const { device, params } = this.resources;
    pass.setPipeline(kernel.pipeline);
    this.offset[0] = step.paramsOffset;
    const group = state.bindGroups.get(device, kernel, params.buffer, this.bindings, kv);
    pass.setBindGroup(0, group, this.offset, 0, 1);
    pass.dispatchWorkgroups(x, y, z);
  }
}

/** Workgroups beside the splits of a KV head that prepare what stands for the rows that are not read (wgsl/rest.wgsl). */
function rests(step: StepInputs): number {
  return !step.plan.dense && usesMoments(step.policy) ? 1 : 0;
}

/** Bytes that a scratch buffer needs for each query head of each sequence. */
function bytesPerHead(name: ScratchName, { splits, scoreStride }: Geometry, headSize: number): number {
  switch (name) {
    case 'scores':
      return scoreStride * 4;
    case 'partials':
      return splits * 8;
    case 'partOut':
      return (splits + 1) * (headSize + 4) * 4;
  }
}
