// Which rows the kernel keeps, row by row, and what it puts out, on the model's own q, K, V and thresholds, against the f64 reference.
//
// The kernel says which rows it read through its output: with V one-hot (row i has a 1 at element i mod 64, every other row of a
// block of 64 is 0 elsewhere) element d of the output is the probability of row d of that block, and 0 if the row was dropped.
import type { Decoder } from '../lab/decoding/decoder.ts';
import { Sequence } from '../lab/decoding/sequence.ts';
import { enableSift, learnedPolicy, type ThresholdPolicy } from '../src/index.ts';
import { download } from '../src/kernel/gpu/transfer.ts';
import { outputError } from '../src/kernel/proof/test-cases.ts';
import { LayerState } from '../src/kernel/step/layer-state.ts';
import { attentionScores, SessionTracker, siftedAttention } from '../src/oracle/index.ts';
import { type Recorded, Recorder } from './recorder.ts';

export interface RowAgreement {
  policy: string;
  steps: number;
  /** Decisions (rows of a head, or of a group where rows are shared) compared, and those that agree. */
  decisions: number;
  /** ... with the thresholds that the kernel learned. */
  agree: number;
  /** ... with thresholds that the f64 tracker learned from the warm-up's q and K by itself. */
  agreeLearned: number;
  /** Rows that the kernel kept in all. */
  kept: number;
  /**
   * Largest difference, in each step, between the kernel's output in the model's own step and the f64 reference's with the kernel's
   * thresholds, relative to the head's largest element. Where moments of V stand for the dropped rows it is not rounding alone: the
   * kernel's are those of the step that measured them, the reference's those of all rows.
   */
  outputErrors: number[];
  /** Heads whose count of kept rows in the model's own step is not that of the replay (0: the replay is the step). */
  countsOff: number;
}

/** The one-hot V, and the block that an offset in it shows. */
function oneHotValues(device: GPUDevice, headSize: number, capacity: number, kvHeads: number) {
  const rows = capacity * (kvHeads + 1);
  const data = new Float32Array(rows * headSize);
  for (let start = 0; start < rows; start += capacity) {
    for (let i = 0; i < headSize; i++) data[(start + i) * headSize + i] = 1;
  }
  const buffer = device.createBuffer({
    size: data.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, data);
  const size = capacity * kvHeads * headSize * 4;
  const blocks = capacity / headSize;
  return {
    binding: (block: number) => ({
      buffer,
      offset: ((blocks - block) % blocks) * headSize * headSize * 4,
      size,
    }),
    destroy: () => buffer.destroy(),
  };
}

/** Runs scores, gather and combine of one recorded layer once per block of keys. @returns [queryHeads, length], 1 if kept. */
async function replay(
  device: GPUDevice,
  call: Recorded,
  keys: Float32Array<ArrayBuffer>,
  length: number,
): Promise<{ kept: Uint8Array; counts: number[] }> {
  const { encoder, state, step } = call;
  const { queryHeads, kvHeads, headSize } = encoder.shape;
  const capacity = Math.ceil(length / headSize) * headSize;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const k = device.createBuffer({ size: kvHeads * capacity * headSize * 4, usage });
  for (let h = 0; h < kvHeads; h++) {
    const part = keys.subarray(h * length * headSize, (h + 1) * length * headSize);
    device.queue.writeBuffer(k, h * capacity * headSize * 4, part);
  }
  const zeros = device.createBuffer({ size: 4, usage });
  const values = oneHotValues(device, headSize, capacity, kvHeads);
  const own = new LayerState(device, encoder.shape, 1, step.policy);
  const blocks = Math.ceil(length / headSize);
  const rowBytes = queryHeads * headSize * 4;
  const output = device.createBuffer({ size: blocks * rowBytes, usage });
  const prepared = encoder.prepare({
    batch: 1,
    lengths: { buffer: zeros },
    lengthBias: length,
    maxLength: length,
    capacity,
    scale: step.scale,
    // What stands for the dropped rows would show in the output.
    policy: { ...step.policy, dropped: 'renormalise' },
    plan: { ...step.plan, windowIndex: -1, fit: false },
  });
  const commands = device.createCommandEncoder();
  commands.copyBufferToBuffer(state.heads, 0, own.heads, 0, own.heads.size);
  const pass = commands.beginComputePass();
  for (let block = 0; block < blocks; block++) {
    encoder.attend(
      pass,
      prepared,
      { q: { buffer: call.q }, keys: { buffer: k }, values: values.binding(block) },
      own,
    );
    encoder.combine(pass, prepared, { buffer: output, offset: block * rowBytes, size: rowBytes }, own);
  }
  pass.end();
  device.queue.submit([commands.finish()]);
  const out = await download(device, output, blocks * queryHeads * headSize, 'f32');
  const counts = (await own.read()).heads.map((head) => head.lastKept);
  const kept = new Uint8Array(queryHeads * length);
  for (let h = 0; h < queryHeads; h++) {
    for (let i = 0; i < length; i++) {
      const block = Math.floor(i / headSize);
      kept[h * length + i] = Number(out[(block * queryHeads + h) * headSize + (i % headSize)]! > 0);
    }
  }
  for (const buffer of [k, zeros, output]) buffer.destroy();
  values.destroy();
  own.destroy();
  return { kept, counts };
}

/**
 * Decodes `tokens` under a policy through the real adapter and compares the kept rows of some steps.
 * The model's K and q must be f32: f16 outputs could not show small probabilities.
 */
export async function compareRows(
  decoder: Decoder,
  tokens: readonly number[],
  { name, policy }: { name: string; policy: ThresholdPolicy },
  options: { prompt: number; steps: number; samples: number; device: GPUDevice },
): Promise<RowAgreement> {
  const { prompt, steps, samples, device } = options;
  const result: RowAgreement = {
    policy: name,
    steps: 0,
    decisions: 0,
    agree: 0,
    agreeLearned: 0,
    kept: 0,
    outputErrors: [],
    countsOff: 0,
  };
  const every = Math.max(1, Math.floor((steps - policy.warmup) / samples));
  (await enableSift(decoder.pipeline, { device, policy: learnedPolicy(), siftFrom: 0 })).dispose();
  const sift = await enableSift(decoder.pipeline, { policy, device, siftFrom: 0 });
  const recorder = new Recorder(device);
  let tracker: SessionTracker | undefined;
  try {
    const sequence = new Sequence(decoder);
    await sequence.feed(tokens.slice(0, prompt));
    for (let g = 1; g <= steps; g++) {
      const length = prompt + g;
      const learning = g <= policy.warmup;
      const sampled = !learning && (g - policy.warmup) % every === 0 && result.steps < samples;
      recorder.recording = learning || sampled;
      recorder.calls = [];
      let worst = 0;
      const outputs = await sequence.feed([tokens[length - 1]!]);
      recorder.recording = false;
      const shape = recorder.calls[0]?.encoder.shape;
      if (shape && !tracker) {
        tracker = new SessionTracker(policy, {
          layers: recorder.calls.length,
          batch: 1,
          queryHeads: shape.queryHeads,
        });
        tracker.begin(prompt, 0);
      }
      if (tracker && tracker.current.length < length) tracker.begin(1, length - 1);
      for (const [layer, call] of recorder.calls.entries()) {
        const { queryHeads, kvHeads, headSize } = call.encoder.shape;
        const q = await download(device, call.q, queryHeads * headSize, 'f32');
        const present = outputs[`present.${layer}.key`]!.ort_tensor.gpuBuffer;
        const k = Float32Array.from(await download(device, present, kvHeads * length * headSize, 'f32'));
        const v = learning
          ? new Float32Array(k.length)
          : await download(
              device,
              outputs[`present.${layer}.value`]!.ort_tensor.gpuBuffer,
              kvHeads * length * headSize,
              'f32',
            );
        const scale = call.step.scale;
        const inputs = {
          q,
          k,
          v,
          scale,
          batch: 1,
          queryHeads,
          kvHeads,
          headSize,
          capacity: length,
          lengths: length,
        };
        if (learning) {
          const { probabilities } = attentionScores(inputs);
          for (let h = 0; h < queryHeads; h++) {
            tracker!
              .tracker(layer, 0, h)
              .observe(g, length, probabilities.subarray(h * length, (h + 1) * length));
          }
        } else {
          const stepFigures = await call.state.read();
          const { kept, counts } = await replay(device, call, k, length);
          const given = siftedAttention(
            inputs,
            stepFigures.heads.map((head) => head.logThreshold),
            policy,
          );
          const learned = siftedAttention(inputs, tracker!.logThresholds(layer), policy);
          result.countsOff += counts.filter((count, h) => count !== stepFigures.heads[h]!.lastKept).length;
          const output = await download(device, call.output!, queryHeads * headSize, 'f32');
          worst = Math.max(worst, outputError(output, given.output, call.encoder.shape));
          const group = queryHeads / kvHeads;
          const of = (h: number) => (policy.shareGroup ? Math.floor(h / group) : h) * length;
          for (let h = 0; h < queryHeads; h++) {
            const [a, b] = [given, learned].map((r) => (policy.shareGroup ? r.groupKept : r.kept)) as [
              Uint8Array,
              Uint8Array,
            ];
            for (let i = 0; i < length; i++) {
              const ours = kept[h * length + i]!;
              result.kept += ours;
              result.agree += Number(a[of(h) + i] === ours);
              result.agreeLearned += Number(b[of(h) + i] === ours);
            }
          }
          result.decisions += queryHeads * length;
        }
        call.q.destroy();
        call.output?.destroy();
      }
      if (sampled) {
        result.steps++;
        result.outputErrors.push(worst);
      }
    }
    sequence.dispose();
  } finally {
    recorder.restore();
    sift.dispose();
  }
  return result;
}
