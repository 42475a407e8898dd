import { isLearned, type StepPlan, type ThresholdPolicy, usesMoments } from '../../policy/index.ts';
import { FLAG, type FlagName, PARAMS, PARAMS_BYTES, type ParamName } from '../text/schema.ts';

/**
 * Sizes and layout of a step's inputs: the parameters that do not come from the policy. `PARAMS` explains
 * them.
 */
export interface StepGeometry {
  batch: number;
  lengthBias: number;
  capacity: number;
  firstKey: number;
  scoreStride: number;
  splits: number;
  chunk: number;
  scale: number;
  /** Groups of 32 rows of the shadow; 0 without one. */
  shadowGroups: number;
  /** Newest rows of each sequence that are encoded into the shadow. */
  encodeRows: number;
  /** Whether the statistics of the shadow are measured. */
  statistics: boolean;
}

/** The threshold law of a policy that learns nothing, or the exponent's prior of one that learns. */
function law(policy: ThresholdPolicy): { logAlpha: number; beta: number; variance: number } {
  const { target, exponent } = policy;
  switch (target.kind) {
    case 'uniform':
      return { logAlpha: Math.log(target.c), beta: -1, variance: 0 };
    case 'probability':
      return { logAlpha: Math.log(target.p), beta: 0, variance: 0 };
    case 'quantile':
    case 'mass':
      if (exponent.kind === 'free') return { logAlpha: 0, beta: 0, variance: -1 };
      return {
        logAlpha: 0,
        beta: exponent.beta,
        variance: exponent.kind === 'fixed' ? 0 : exponent.variance,
      };
    default:
      // A target that is not handled here must not pass for another.
      throw new Error(`no threshold law for ${JSON.stringify(target satisfies never)}`);
  }
}

function flagsOf(policy: ThresholdPolicy, plan: StepPlan, statistics: boolean): number {
  const { target } = policy;
  const set: Record<FlagName, boolean> = {
    renormalise: policy.dropped === 'renormalise',
    share: policy.shareGroup,
    newest: policy.keepNewest,
    largest: policy.keepLargest,
    length_axis: policy.axis === 'length' || target.kind === 'uniform',
    mass: target.kind === 'mass',
    analytic: !isLearned(policy),
    guard: policy.guard,
    dense: plan.dense,
    record: plan.windowIndex >= 0,
    fit: plan.fit,
    correct: usesMoments(policy),
    linear: policy.dropped === 'linear',
    statistics,
  };
  let flags = 0;
  for (const name in set) if (set[name as FlagName]) flags |= FLAG[name as FlagName];
  return flags;
}

/** Writes the parameters of a step in the layout of `Params` in WGSL. */
export function writeParams(
  view: DataView,
  geometry: StepGeometry,
  policy: ThresholdPolicy,
  plan: StepPlan,
): void {
  const { target } = policy;
  const { logAlpha, beta, variance } = law(policy);
  const values: Record<ParamName, number> = {
    length_bias: geometry.lengthBias,
    capacity: geometry.capacity,
    score_stride: geometry.scoreStride,
    splits: geometry.splits,
    chunk: geometry.chunk,
    step: plan.step,
    window: Math.max(1, policy.warmup),
    window_index: Math.max(0, plan.windowIndex),
    flags: flagsOf(policy, plan, geometry.statistics),
    scale: geometry.scale,
    target_value: target.kind === 'quantile' ? target.tau : target.kind === 'mass' ? target.epsilon : 0,
    log_alpha: logAlpha,
    beta,
    beta_variance: variance,
    batch: geometry.batch,
    first_key: geometry.firstKey,
    shadow_groups: geometry.shadowGroups,
    encode_rows: geometry.encodeRows,
  };
  PARAMS.forEach(([name, type], i) => {
    if (type === 'u32') view.setUint32(4 * i, values[name], true);
    else view.setFloat32(4 * i, values[name], true);
  });
}

/**
 * Bytes from one entry of parameters to the next: the largest `minUniformBufferOffsetAlignment` that WebGPU
 * allows.
 */
export const PARAMS_STRIDE = 256;

/** Entries of the ring. */
const ENTRIES = 512;

/**
 * A ring of parameter entries in one uniform buffer. `queue.writeBuffer` takes effect before work that is
 * encoded but not yet submitted. So an entry must not be written again while such work may still read it, and
 * the ring has many.
 */
export class ParamsRing {
  /** Makes its buffer; see `allocate`. */
  static createBuffer(device: GPUDevice): GPUBuffer {
    return device.createBuffer({
      label: 'sift params',
      size: ENTRIES * PARAMS_STRIDE,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  private next = 0;
  private readonly staging = new DataView(new ArrayBuffer(PARAMS_BYTES));

  constructor(
    private readonly device: GPUDevice,
    readonly buffer: GPUBuffer,
  ) {}

  /** Writes the next entry and returns its dynamic offset in bytes. */
  push(geometry: StepGeometry, policy: ThresholdPolicy, plan: StepPlan): number {
    writeParams(this.staging, geometry, policy, plan);
    return this.write(this.staging.buffer);
  }

  /** Writes uniforms of another kind as the next entry, of {@link PARAMS_STRIDE} bytes at most; the same as {@link push}. */
  write(data: ArrayBuffer): number {
    const offset = this.next * PARAMS_STRIDE;
    this.next = (this.next + 1) % ENTRIES;
    this.device.queue.writeBuffer(this.buffer, offset, data);
    return offset;
  }

  destroy(): void {
    this.buffer.destroy();
  }
}
