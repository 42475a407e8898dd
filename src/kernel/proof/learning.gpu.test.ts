// Holds what the kernels learn on the GPU against the oracle's tracker in f64, step by step: quantiles, fits,
// thresholds and kept rows.
import { beforeAll, describe, expect, test } from 'vitest';
import { attentionScores, createRandom, SessionTracker, siftedAttention } from '../../oracle/index.ts';
import {
  learnedPolicy,
  paperPolicy,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import { storedScore } from '../../testing/thresholds.ts';
import { download, upload } from '../gpu/transfer.ts';
import type { AttentionShape } from '../shape.ts';
import { createSiftAttention } from '../sift-attention.ts';
import type { LayerFigures } from '../step/layer-state.ts';
import { outputError } from './test-cases.ts';
import { canUseSubgroups } from './variants.ts';

const SHAPE: AttentionShape = { queryHeads: 8, kvHeads: 2, headSize: 32, dtype: 'f32' };
const PROMPT = 300;
const STEPS = 24;
const CAPACITY = PROMPT + STEPS;

interface Trace {
  /** Largest error of the output over all steps. */
  error: number;
  /** How many decisions to keep a row agree, over all heads and sifted steps. */
  rows: { same: number; total: number };
  figures: LayerFigures;
  tracker: SessionTracker;
}

/** Decodes with our kernels and with the oracle side by side, and compares every step. */
async function decode(device: GPUDevice, policy: ThresholdPolicy, subgroups: boolean): Promise<Trace> {
  const random = createRandom(7);
  const { queryHeads, kvHeads, headSize } = SHAPE;
  const k = random.normals(kvHeads * CAPACITY * headSize);
  const v = random.normals(kvHeads * CAPACITY * headSize);
  const attention = await createSiftAttention(device, SHAPE, { policy, subgroups, selfTest: false });
  const tracker = new SessionTracker(policy, { layers: 1, batch: 1, queryHeads });
  tracker.begin(PROMPT, 0);
  const keys = { buffer: upload(device, k, 'f32') };
  const values = { buffer: upload(device, v, 'f32') };
  let error = 0;
  const rows = { same: 0, total: 0 };
  for (let step = 1; step <= STEPS; step++) {
    const length = PROMPT + step;
    // Some heads have more peaked probabilities than others.
    const q = Float32Array.from(
      random.normals(queryHeads * headSize),
      (x, i) => x * (0.3 + Math.floor(i / headSize) / 6),
    );
    const tensors = {
      q: { buffer: upload(device, q, 'f32') },
      keys,
      values,
      output: { buffer: upload(device, new Float32Array(queryHeads * headSize), 'f32') },
    };
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    attention.beginStep({ length, capacity: CAPACITY }).encode(pass, 0, tensors);
    pass.end();
    device.queue.submit([commands.finish()]);
    const got = await download(device, tensors.output.buffer, queryHeads * headSize, 'f32');
    tensors.q.buffer.destroy();
    tensors.output.buffer.destroy();

    const inputs = { q, k, v, batch: 1, queryHeads, kvHeads, headSize, capacity: CAPACITY, lengths: length };
    tracker.begin(1, length - 1);
    const thresholds = tracker.logThresholds(0);
    const want = siftedAttention(inputs, thresholds, policy);
    const sifted = step > policy.warmup;
    if (sifted) {
      const figures = await attention.figures();
      figures.heads.forEach((head, h) => {
        rows.total += length;
        rows.same += length - Math.abs(head.lastKept - want.keptRows[h]!);
        tracker.tracker(0, 0, h).observeMass(want.keptMass[h]!);
      });
    }
    error = Math.max(error, outputError(got, want.output, SHAPE));
    const { scores, logProbabilities } = attentionScores(inputs);
    for (let h = 0; h < queryHeads; h++) {
      const at = h * CAPACITY;
      const logSum = scores[at]! - logProbabilities[at]!;
      const p = scores.subarray(at, at + length).map((s) => Math.exp(storedScore(s) - logSum));
      tracker.tracker(0, 0, h).observe(step, length, p);
    }
  }
  const figures = await attention.figures();
  attention.destroy();
  keys.buffer.destroy();
  values.buffer.destroy();
  return { error, rows, figures, tracker };
}

const custom = (change: Partial<ThresholdPolicy>) =>
  validatePolicy({ ...learnedPolicy({ warmup: 8 }), ...change });

const POLICIES: Record<string, ThresholdPolicy> = {
  paper: paperPolicy({ tau: 0.75, warmup: 8 }),
  default: learnedPolicy({ tau: 0.875, warmup: 8 }),
  'paper, length axis': custom({ name: 'length', exponent: { kind: 'free' }, guard: false }),
  'prior on the exponent': custom({ name: 'prior', exponent: { kind: 'prior', beta: -1, variance: 0.04 } }),
  'mass, learned again': custom({ name: 'mass', target: { kind: 'mass', epsilon: 0.05 }, refitEvery: 6 }),
};

describe('learning on the GPU', () => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await testDevice();
  });

  for (const [name, policy] of Object.entries(POLICIES)) {
    test(`${name}: fits, thresholds and kept rows are the tracker's`, async () => {
      const { error, rows, figures, tracker } = await decode(device, policy, canUseSubgroups(device));
      const agreement = rows.same / rows.total;
      console.log(
        `${name}: rows agree ${(100 * agreement).toFixed(3)}%, output error ${error.toExponential(1)}`,
      );
      expect(rows.total).toBeGreaterThan(30_000);
      expect(agreement).toBeGreaterThan(0.999);
      expect(error).toBeLessThan(1e-5);
      figures.heads.forEach((head, h) => {
        const { fit, guarded } = tracker.tracker(0, 0, h);
        expect(head.status).toBe(guarded ? (guarded === 'kept-mass' ? 'guarded' : 'unfit') : 'fitted');
        expect(head.logAlpha).toBeCloseTo(fit!.logAlpha, 2);
        expect(head.beta).toBeCloseTo(fit!.beta, 2);
        expect(head.r2).toBeCloseTo(fit!.r2, 2);
        const log = tracker.tracker(0, 0, h).logThreshold(STEPS, CAPACITY);
        if (!guarded) expect(head.logThreshold).toBeCloseTo(log, 3);
      });
    });
  }

  test('a head that loses its probability becomes dense', async () => {
    // The level is learned while two keys have most of the mass. Then scores become flat, and no row reaches
    // it.
    const policy = validatePolicy({ ...learnedPolicy({ tau: 0.99, warmup: 2 }), keepLargest: false });
    const attention = await createSiftAttention(device, SHAPE, { policy, subgroups: false, selfTest: false });
    const random = createRandom(3);
    const { queryHeads, kvHeads, headSize } = SHAPE;
    const length = 64;
    const values = { buffer: upload(device, random.normals(kvHeads * length * headSize), 'f32') };
    const output = { buffer: upload(device, new Float32Array(queryHeads * headSize), 'f32') };
    const q = { buffer: upload(device, new Float32Array(queryHeads * headSize).fill(1), 'f32') };
    const flat = { buffer: upload(device, random.normals(kvHeads * length * headSize, 0.01), 'f32') };
    const spikes = random.normals(kvHeads * length * headSize, 0.01);
    for (let h = 0; h < kvHeads; h++) spikes.fill(1, h * length * headSize, (h * length + 2) * headSize);
    const peaked = { buffer: upload(device, spikes, 'f32') };
    const status: string[] = [];
    for (let step = 1; step <= 22; step++) {
      const commands = device.createCommandEncoder();
      const pass = commands.beginComputePass();
      attention.beginStep({ length }).encode(pass, 0, { q, keys: step <= 2 ? peaked : flat, values, output });
      pass.end();
      device.queue.submit([commands.finish()]);
      status.push((await attention.figures()).heads[0]!.status);
    }
    expect(status[1]).toBe('fitted');
    expect(status.at(-1)).toBe('guarded');
    // The guard judges from the 17th sifted step on. A guarded head keeps every row.
    expect(status.indexOf('guarded')).toBe(2 + 16);
    expect((await attention.figures()).heads[0]!.lastKept).toBe(length);
    attention.reset();
    expect((await attention.figures()).heads[0]!.status).toBe('learning');
    attention.destroy();
  });

  test('the moments are measured again when the cache has grown by a tenth', async () => {
    const [prompt, steps] = [40, 8];
    const capacity = prompt + steps;
    const { queryHeads, kvHeads, headSize } = SHAPE;
    // Scores are flat, so that only the newest row is kept. The V rows of the prompt are 1, the newer ones 0.
    const rows = Float32Array.from({ length: kvHeads * capacity * headSize }, (_, i) =>
      Number(Math.floor(i / headSize) % capacity < prompt),
    );
    const attention = await createSiftAttention(device, SHAPE, {
      policy: uniformPolicy({ c: 2 }),
      selfTest: false,
    });
    const tensors = {
      q: { buffer: upload(device, new Float32Array(queryHeads * headSize), 'f32') },
      keys: { buffer: upload(device, new Float32Array(rows.length), 'f32') },
      values: { buffer: upload(device, rows, 'f32') },
      output: { buffer: upload(device, new Float32Array(queryHeads * headSize), 'f32') },
    };
    for (let step = 1; step <= steps; step++) {
      const length = prompt + step;
      const commands = device.createCommandEncoder();
      const pass = commands.beginComputePass();
      attention.beginStep({ length, capacity }).encode(pass, 0, tensors);
      pass.end();
      device.queue.submit([commands.finish()]);
      const [first] = await download(device, tensors.output.buffer, queryHeads * headSize, 'f32');
      // The first step has 41 keys. With 46 keys the cache is for the first time a tenth larger.
      const mean = prompt / (length < 46 ? 41 : 46);
      expect([step, first]).toEqual([step, expect.closeTo(mean * (1 - 1 / length), 5)]);
    }
    attention.destroy();
  });

  test('steps make no bind groups and no buffers once they have their own', async () => {
    const length = 300;
    const { queryHeads, kvHeads, headSize } = SHAPE;
    const zeros = (count: number) => ({ buffer: upload(device, new Float32Array(count), 'f32') });
    const layers = Array.from({ length: 3 }, () => ({
      q: zeros(queryHeads * headSize),
      keys: zeros(kvHeads * length * headSize),
      values: zeros(kvHeads * length * headSize),
      output: zeros(queryHeads * headSize),
    }));
    let made = 0;
    const { createBindGroup, createBuffer } = device;
    device.createBindGroup = (descriptor) => {
      made++;
      return createBindGroup.call(device, descriptor);
    };
    device.createBuffer = (descriptor) => {
      made++;
      return createBuffer.call(device, descriptor);
    };
    try {
      for (const policy of [uniformPolicy({ c: 0 }), uniformPolicy({ c: 1 }), POLICIES.default!]) {
        const attention = await createSiftAttention(device, SHAPE, {
          policy,
          layers: layers.length,
          selfTest: false,
        });
        const counts: number[] = [];
        // If the policy learns, the first 8 steps learn and the last ones sift.
        for (let i = 0; i < 14; i++) {
          made = 0;
          const commands = device.createCommandEncoder();
          const pass = commands.beginComputePass();
          const step = attention.beginStep({ length: length - 14 + i, capacity: length });
          for (const [layer, tensors] of layers.entries()) step.encode(pass, layer, tensors);
          pass.end();
          device.queue.submit([commands.finish()]);
          counts.push(made);
        }
        // Each kind of step makes its bind groups and buffers once. A policy that learns has two kinds.
        const kinds = policy === POLICIES.default ? 2 : 1;
        expect(counts[0]).toBeGreaterThan(0);
        expect(counts.filter((count) => count > 0).length).toBeLessThanOrEqual(kinds);
        attention.destroy();
      }
    } finally {
      Object.assign(device, { createBindGroup, createBuffer });
    }
  });

  test('steps shorter than siftFrom read every row and are not counted', async () => {
    const length = 64;
    const random = createRandom(5);
    const { queryHeads, kvHeads, headSize } = SHAPE;
    const tensors = {
      q: { buffer: upload(device, random.normals(queryHeads * headSize), 'f32') },
      keys: { buffer: upload(device, random.normals(kvHeads * length * headSize), 'f32') },
      values: { buffer: upload(device, random.normals(kvHeads * length * headSize), 'f32') },
      output: { buffer: upload(device, new Float32Array(queryHeads * headSize), 'f32') },
    };
    const run = async (siftFrom: number) => {
      const policy = uniformPolicy({ c: 1 });
      const attention = await createSiftAttention(device, SHAPE, { policy, siftFrom });
      const commands = device.createCommandEncoder();
      const pass = commands.beginComputePass();
      const step = attention.beginStep({ length });
      step.encode(pass, 0, tensors);
      pass.end();
      device.queue.submit([commands.finish()]);
      const output = await download(device, tensors.output.buffer, queryHeads * headSize, 'f32');
      const { siftedSteps } = (await attention.figures()).heads[0]!;
      attention.destroy();
      return { dense: step.dense, siftedSteps, output };
    };
    const [short, long] = [await run(length + 1), await run(length)];
    expect([short.dense, short.siftedSteps]).toEqual([true, 0]);
    expect([long.dense, long.siftedSteps]).toEqual([false, 1]);
    expect(outputError(long.output, short.output, SHAPE)).toBeGreaterThan(1e-3);
  });
});
