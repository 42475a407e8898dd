import type { ThresholdPolicy } from '../tracker/index.ts';
import { CONTIGUOUS_KV, KV_BINDING, type KvLayout } from './kv-layout.ts';
import { type Geometry, ParamsRing, type StepPlan } from './params.ts';
import { createKernels, type Kernel, type Kernels } from './pipelines.ts';
import { planSplits } from './plan.ts';
import { Scratch } from './scratch.ts';
import { type AttentionShape, shapeConstants, validateShape } from './shape.ts';
import type { LayerState } from './state.ts';
import type { KernelName } from './wgsl.ts';

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

/** Encodes the passes of a decode step for one shape. Knows WebGPU, knows no runtime. */
export class AttentionEncoder {
  private constructor(
    readonly shape: AttentionShape,
    readonly resources: DeviceResources,
    private readonly kernels: Kernels,
  ) {}

  /**
   * Compiles the kernels.
   * @throws {SiftError} `INVALID_OPTION` for a shape outside the limits, `SELF_TEST_FAILED` if a kernel does not compile.
   */
  static async create(
    resources: DeviceResources,
    shape: AttentionShape,
    subgroups: boolean,
    kv: KvLayout = CONTIGUOUS_KV,
  ): Promise<AttentionEncoder> {
    validateShape(shape);
    return new AttentionEncoder(
      shape,
      resources,
      await createKernels(resources.device, shape, subgroups, kv),
    );
  }

  /** Plans a step and writes its parameters; once a step serves all layers of one geometry. */
  prepare(inputs: StepInputs): PreparedStep {
    const { splits, chunk } = planSplits(this.shape, inputs.batch, inputs.maxLength);
    const geometry: Geometry = {
      lengthBias: inputs.lengthBias,
      capacity: inputs.capacity,
      scoreStride: Math.ceil(inputs.maxLength / 64) * 64,
      splits,
      chunk,
      scale: inputs.scale,
    };
    const paramsOffset = this.resources.params.push(geometry, inputs.policy, inputs.plan);
    return { ...inputs, geometry, paramsOffset };
  }

  /** Scores, and the gather of the V rows at or above the threshold. {@link combine} must follow. */
  attend(pass: GPUComputePassEncoder, step: PreparedStep, layer: LayerInputs, state: LayerState): void {
    const { shape } = this;
    const { blocks } = shapeConstants(shape);
    const s = this.scratchFor(step);
    const grid = [step.geometry.splits, shape.kvHeads * blocks, step.batch] as const;
    this.dispatch(
      pass,
      'scores',
      step,
      [step.lengths, layer.q, layer.keys, s.scores, s.partials],
      grid,
      layer.kv,
    );
    const bindings = [
      step.lengths,
      s.scores,
      s.partials,
      { buffer: state.heads },
      layer.values,
      s.partOut,
      s.partStat,
    ];
    this.dispatch(pass, 'gather', step, bindings, grid, layer.kv);
  }

  /**
   * Adds up what {@link attend} left in the scratch buffers and writes `output` [batch, queryHeads, headSize]; then, where
   * thresholds are learned, records this step's. A fit holds from the next step on.
   */
  combine(
    pass: GPUComputePassEncoder,
    step: PreparedStep,
    output: GPUBufferBinding,
    state: LayerState,
  ): void {
    const s = this.scratchFor(step);
    const bindings = [
      step.lengths,
      s.partials,
      s.partOut,
      s.partStat,
      { buffer: state.heads },
      { buffer: state.groups },
      output,
    ];
    this.dispatch(pass, 'combine', step, bindings, [this.shape.queryHeads, step.batch, 1]);
    if (step.plan.windowIndex >= 0) {
      const learned = [step.lengths, s.scores, s.partials, { buffer: state.heads }, { buffer: state.window }];
      this.dispatch(pass, 'quantile', step, learned, [this.shape.queryHeads, step.batch, 1]);
    }
  }

  private scratchFor(
    step: PreparedStep,
  ): Record<'scores' | 'partials' | 'partOut' | 'partStat', GPUBufferBinding> {
    const { scratch } = this.resources;
    const rows = step.batch * this.shape.queryHeads;
    const { splits, scoreStride } = step.geometry;
    return {
      scores: { buffer: scratch.get('scores', rows * scoreStride * 4) },
      partials: { buffer: scratch.get('partials', rows * splits * 8) },
      partOut: { buffer: scratch.get('partOut', rows * splits * this.shape.headSize * 4) },
      partStat: { buffer: scratch.get('partStat', rows * splits * 16) },
    };
  }

  private dispatch(
    pass: GPUComputePassEncoder,
    name: KernelName,
    step: PreparedStep,
    bindings: readonly GPUBufferBinding[],
    grid: readonly [number, number, number],
    kv: readonly GPUBufferBinding[] = [],
  ): void {
    const kernel: Kernel = this.kernels[name];
    const { device, params } = this.resources;
    const group = device.createBindGroup({
      layout: kernel.layout,
      entries: [
        { binding: 0, resource: { buffer: params.buffer, size: 64 } },
        ...bindings.map((resource, i) => ({ binding: i + 1, resource })),
        ...kv.map((resource, i) => ({ binding: KV_BINDING + i, resource })),
      ],
    });
    pass.setPipeline(kernel.pipeline);
    pass.setBindGroup(0, group, [step.paramsOffset]);
    pass.dispatchWorkgroups(...grid);
  }
}
