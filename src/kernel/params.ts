import { type StepPlan, type ThresholdPolicy, usesMoments } from '../policy/index.ts';

/** Bytes from one parameter slot to the next: the largest `minUniformBufferOffsetAlignment` WebGPU allows. */
export const PARAMS_STRIDE = 256;
const PARAMS_BYTES = 64;

/** The flags of wgsl/common.wgsl. */
export const Flag = {
  renormalise: 1,
  share: 2,
  newest: 4,
  largest: 8,
  lengthAxis: 16,
  mass: 32,
  analytic: 64,
  guard: 128,
  dense: 256,
  record: 512,
  fit: 1024,
  mean: 2048,
  linear: 4096,
} as const;

/** The geometry of a dispatch, beside what the policy says. */
export interface Geometry {
  batch: number;
  lengthBias: number;
  capacity: number;
  scoreStride: number;
  splits: number;
  chunk: number;
  scale: number;
}

/** Level and exponent of a policy that learns nothing, or the prior of one that does. */
function law(policy: ThresholdPolicy): { logAlpha: number; beta: number; variance: number } {
  const { target, exponent } = policy;
  if (target.kind === 'uniform') return { logAlpha: Math.log(target.c), beta: -1, variance: 0 };
  if (target.kind === 'probability') return { logAlpha: Math.log(target.p), beta: 0, variance: 0 };
  if (exponent.kind === 'free') return { logAlpha: 0, beta: 0, variance: -1 };
  return { logAlpha: 0, beta: exponent.beta, variance: exponent.kind === 'fixed' ? 0 : exponent.variance };
}

/** Writes the `Params` of wgsl/common.wgsl. */
export function writeParams(
  view: DataView,
  geometry: Geometry,
  policy: ThresholdPolicy,
  plan: StepPlan,
): void {
  const { target } = policy;
  const analytic = target.kind === 'uniform' || target.kind === 'probability';
  const { logAlpha, beta, variance } = law(policy);
  let flags = 0;
  if (policy.dropped === 'renormalise') flags |= Flag.renormalise;
  if (usesMoments(policy)) flags |= Flag.mean;
  if (policy.dropped === 'linear') flags |= Flag.linear;
  if (policy.shareGroup) flags |= Flag.share;
  if (policy.keepNewest) flags |= Flag.newest;
  if (policy.keepLargest) flags |= Flag.largest;
  if (policy.axis === 'length' || target.kind === 'uniform') flags |= Flag.lengthAxis;
  if (target.kind === 'mass') flags |= Flag.mass;
  if (analytic) flags |= Flag.analytic;
  if (policy.guard) flags |= Flag.guard;
  if (plan.dense) flags |= Flag.dense;
  if (plan.windowIndex >= 0) flags |= Flag.record;
  if (plan.fit) flags |= Flag.fit;
  const words: [kind: 'u' | 'f', value: number][] = [
    ['u', geometry.lengthBias],
    ['u', geometry.capacity],
    ['u', geometry.scoreStride],
    ['u', geometry.splits],
    ['u', geometry.chunk],
    ['u', plan.step],
    ['u', Math.max(1, policy.warmup)],
    ['u', Math.max(0, plan.windowIndex)],
    ['u', flags],
    ['f', geometry.scale],
    ['f', target.kind === 'quantile' ? target.tau : target.kind === 'mass' ? target.epsilon : 0],
    ['f', logAlpha],
    ['f', beta],
    ['f', variance],
    ['u', geometry.batch],
  ];
  words.forEach(([kind, value], i) => {
    if (kind === 'u') view.setUint32(4 * i, value, true);
    else view.setFloat32(4 * i, value, true);
  });
}

/**
 * A ring of parameter slots in one uniform buffer. `queue.writeBuffer` takes effect before work that is encoded but not yet
 * submitted, so a slot must not be written again while such work may still read it.
 */
export class ParamsRing {
  readonly buffer: GPUBuffer;
  private next = 0;
  private readonly staging = new DataView(new ArrayBuffer(PARAMS_BYTES));

  constructor(
    private readonly device: GPUDevice,
    private readonly slots = 256,
  ) {
    this.buffer = device.createBuffer({
      label: 'sift params',
      size: slots * PARAMS_STRIDE,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  /** Fills the next slot and returns its dynamic offset in bytes. */
  push(geometry: Geometry, policy: ThresholdPolicy, plan: StepPlan): number {
    const offset = this.next * PARAMS_STRIDE;
    this.next = (this.next + 1) % this.slots;
    writeParams(this.staging, geometry, policy, plan);
    this.device.queue.writeBuffer(this.buffer, offset, this.staging.buffer);
    return offset;
  }

  destroy(): void {
    this.buffer.destroy();
  }
}
