import { upload } from '../../src/kernel/gpu/transfer.ts';
import type { AttentionShape } from '../../src/kernel/shape.ts';
import { createRandom } from '../../src/oracle/index.ts';
import normalSource from './normal.wgsl?raw';

/** Standard deviation of a head's scores, in natural-log units. The level for a kept fraction is computed from it. */
export const SCORE_SPREAD = 2;

/** The tensors of one step. Several sets are used in turn, so that the device's caches do not hold them. */
export interface InputSet {
  q: GPUBuffer;
  keys: GPUBuffer;
  values: GPUBuffer;
}

/** Bytes of K, or of V. */
export function cacheBytes(shape: AttentionShape, length: number): number {
  return shape.kvHeads * length * shape.headSize * (shape.dtype === 'f16' ? 2 : 4);
}

/** Makes `count` sets: K and V standard normal, every query of the length that gives the scores their spread. */
export async function createInputs(
  device: GPUDevice,
  shape: AttentionShape,
  length: number,
  count: number,
): Promise<InputSet[]> {
  const fill = await normalFiller(device, shape.dtype === 'f16');
  const random = createRandom(20250605);
  return Array.from({ length: count }, (_, i) => ({
    q: upload(device, queries(shape, random.normals(shape.queryHeads * shape.headSize)), shape.dtype),
    keys: fill(cacheBytes(shape, length), 2 * i + 1),
    values: fill(cacheBytes(shape, length), 2 * i + 2),
  }));
}

export function destroyInputs(sets: readonly InputSet[]): void {
  for (const set of sets) for (const buffer of Object.values(set) as GPUBuffer[]) buffer.destroy();
}

/** Scales each query to SCORE_SPREAD * sqrt(headSize): scores scaled by 1/sqrt(headSize) then have that deviation. */
function queries(shape: AttentionShape, q: Float32Array): Float32Array {
  const { headSize } = shape;
  for (let at = 0; at < q.length; at += headSize) {
    let square = 0;
    for (let d = 0; d < headSize; d++) square += q[at + d]! ** 2;
    const factor = SCORE_SPREAD * Math.sqrt(headSize / square);
    for (let d = 0; d < headSize; d++) q[at + d]! *= factor;
  }
  return q;
}

async function normalFiller(
  device: GPUDevice,
  half: boolean,
): Promise<(bytes: number, seed: number) => GPUBuffer> {
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: {
      module: device.createShaderModule({ label: 'normals', code: normalSource }),
      constants: { HALF: half ? 1 : 0 },
    },
  });
  return (bytes, seed) => {
    const size = Math.ceil(bytes / 16) * 16;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer({ size, usage });
    const groups = Math.min(16384, Math.ceil(size / 4 / 256));
    const params = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(params, 0, Uint32Array.of(seed, size / 4, groups * 256));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [params, buffer].map((resource, binding) => ({ binding, resource: { buffer: resource } })),
      }),
    );
    pass.dispatchWorkgroups(groups);
    pass.end();
    device.queue.submit([encoder.finish()]);
    return buffer;
  };
}

/**
 * The c of `uniformPolicy({ c })` at which a KV group of independent query heads reads the fraction `kept` of its V rows:
 * p * S = exp(s - spread^2 / 2) for a normal score s.
 */
export function uniformLevel(kept: number, shape: AttentionShape): number {
  const perHead = 1 - (1 - kept) ** (shape.kvHeads / shape.queryHeads);
  return Math.exp(SCORE_SPREAD * normalQuantile(1 - perHead) - SCORE_SPREAD ** 2 / 2);
}

/** The standard normal quantile, by bisection of its distribution function. */
export function normalQuantile(probability: number): number {
  let low = -9;
  let high = 9;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Simpson's rule on the density; more than exact enough here. */
function normalCdf(x: number): number {
  const steps = 200;
  const h = x / steps;
  const density = (t: number) => Math.exp((-t * t) / 2);
  let sum = density(0) + density(x);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 1 ? 4 : 2) * density(i * h);
  return 0.5 + (sum * h) / 3 / Math.sqrt(2 * Math.PI);
}
