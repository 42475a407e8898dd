// Holds the kernel against the f64 reference on the model's own q, K, V and thresholds: which rows it keeps, row by row, and what it puts
// out.
import type { Decoder, Outputs } from '../../lab/decoding/decoder.ts';
import { Sequence } from '../../lab/decoding/sequence.ts';
import { enableSift, learnedPolicy, type ThresholdPolicy } from '../../src/index.ts';
import { download } from '../../src/kernel/gpu/transfer.ts';
import { outputError } from '../../src/kernel/proof/test-cases.ts';
import { attentionScores, SessionTracker, siftedAttention } from '../../src/oracle/index.ts';
import { keptRows } from './kept-rows.ts';
import { type RecordedLayer, Recorder } from './recorder.ts';

export interface RowAgreement {
  policy: string;
  steps: number;
  /** Decisions that were compared: one for each row of a head, or of a group where rows are shared. */
  decisions: number;
  /** Those on which the reference agrees, with the thresholds that the kernel learned. */
  agree: number;
  /** Those on which it agrees with thresholds that the f64 tracker learned by itself from the warm-up's q and K. */
  agreeLearned: number;
  /** Rows that the kernel kept in all. */
  kept: number;
  /**
   * For each step, the largest difference between the kernel's output in the model's own step and the reference's with the kernel's
   * thresholds, relative to the head's largest element. Where moments of V stand for the dropped rows, the difference is not rounding
   * alone: the kernel's moments are those of the step that measured them, the reference's are those of all rows.
   */
  outputErrors: number[];
  /** Heads that kept another number of rows in the model's own step than in the replay. 0 shows that the replay is the step. */
  countsOff: number;
}

/** What one layer of a step attended to. */
type AttentionInputs = Parameters<typeof siftedAttention>[0] & { k: Float32Array<ArrayBuffer> };

/** Holds the steps of a sequence against the reference, one after the other. */
class Comparison {
  readonly result: RowAgreement;
  /** Learns thresholds in f64, from the same q and K as the kernel. */
  private tracker: SessionTracker | undefined;

  constructor(
    private readonly device: GPUDevice,
    name: string,
    private readonly policy: ThresholdPolicy,
    private readonly prompt: number,
  ) {
    this.result = {
      policy: name,
      steps: 0,
      decisions: 0,
      agree: 0,
      agreeLearned: 0,
      kept: 0,
      outputErrors: [],
      countsOff: 0,
    };
  }

  /** Tells the tracker of a step; the first recorded one says what shape the model has. */
  begin(calls: readonly RecordedLayer[], length: number): void {
    const shape = calls[0]?.encoder.shape;
    if (shape && !this.tracker) {
      const { queryHeads } = shape;
      this.tracker = new SessionTracker(this.policy, { layers: calls.length, batch: 1, queryHeads });
      this.tracker.begin(this.prompt, 0);
    }
    const { tracker } = this;
    if (tracker && tracker.current.length < length) tracker.begin(1, length - 1);
  }

  /** Reads what a layer attended to; the warm-up needs no V. */
  async inputsOf(
    call: RecordedLayer,
    layer: number,
    outputs: Outputs,
    length: number,
    learning: boolean,
  ): Promise<AttentionInputs> {
    const { queryHeads, kvHeads, headSize } = call.encoder.shape;
    const cache = async (name: 'key' | 'value') => {
      const { gpuBuffer } = outputs[`present.${layer}.${name}`]!.ort_tensor;
      return Float32Array.from(await download(this.device, gpuBuffer, kvHeads * length * headSize, 'f32'));
    };
    const q = await download(this.device, call.q, queryHeads * headSize, 'f32');
    const k = await cache('key');
    const v = learning ? new Float32Array(k.length) : await cache('value');
    const { scale } = call.step;
    return { q, k, v, scale, batch: 1, queryHeads, kvHeads, headSize, capacity: length, lengths: length };
  }

  /** Has the tracker learn from a layer of a step of the warm-up. */
  learn(layer: number, step: number, length: number, inputs: AttentionInputs): void {
    const { probabilities } = attentionScores(inputs);
    for (let h = 0; h < inputs.queryHeads; h++) {
      this.tracker!.tracker(layer, 0, h).observe(
        step,
        length,
        probabilities.subarray(h * length, (h + 1) * length),
      );
    }
  }

  /** Compares a layer of a step that sifts. @returns the largest error of its output. */
  async compare(
    call: RecordedLayer,
    layer: number,
    length: number,
    inputs: AttentionInputs,
  ): Promise<number> {
    const { device, policy, result } = this;
    const { queryHeads, headSize } = inputs;
    const { heads } = await call.state.read();
    const { kept, counts } = await keptRows(device, call, inputs.k, length);
    const given = siftedAttention(
      inputs,
      heads.map((head) => head.logThreshold),
      policy,
    );
    const learned = siftedAttention(inputs, this.tracker!.logThresholds(layer), policy);
    result.countsOff += counts.filter((count, h) => count !== heads[h]!.lastKept).length;
    const of = (found: typeof given) => (policy.shareGroup ? found.groupKept : found.kept);
    this.countDecisions(inputs, length, kept, of(given), of(learned));
    const output = await download(device, call.output!, queryHeads * headSize, 'f32');
    return outputError(output, given.output, call.encoder.shape);
  }

  /** Counts the rows of every head on which the kernel and the references agree. */
  private countDecisions(
    { queryHeads, kvHeads }: AttentionInputs,
    length: number,
    kept: Uint8Array,
    given: Uint8Array,
    learned: Uint8Array,
  ): void {
    const { policy, result } = this;
    const group = queryHeads / kvHeads;
    for (let h = 0; h < queryHeads; h++) {
      const at = (policy.shareGroup ? Math.floor(h / group) : h) * length;
      for (let i = 0; i < length; i++) {
        const ours = kept[h * length + i]!;
        result.kept += ours;
        result.agree += Number(given[at + i] === ours);
        result.agreeLearned += Number(learned[at + i] === ours);
      }
    }
    result.decisions += queryHeads * length;
  }
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
  const comparison = new Comparison(device, name, policy, prompt);
  const { result } = comparison;
  const every = Math.max(1, Math.floor((steps - policy.warmup) / samples));
  (await enableSift(decoder.model, { device, policy: learnedPolicy(), siftFrom: 0 })).dispose();
  const sift = await enableSift(decoder.model, { policy, device, siftFrom: 0 });
  const recorder = new Recorder(device);
  try {
    const sequence = new Sequence(decoder);
    await sequence.feed(tokens.slice(0, prompt));
    for (let step = 1; step <= steps; step++) {
      const length = prompt + step;
      const learning = step <= policy.warmup;
      const sampled = !learning && (step - policy.warmup) % every === 0 && result.steps < samples;
      recorder.recording = learning || sampled;
      recorder.calls = [];
      const outputs = await sequence.feed([tokens[length - 1]!]);
      recorder.recording = false;
      comparison.begin(recorder.calls, length);
      let worst = 0;
      for (const [layer, call] of recorder.calls.entries()) {
        const inputs = await comparison.inputsOf(call, layer, outputs, length, learning);
        if (learning) comparison.learn(layer, step, length, inputs);
        else worst = Math.max(worst, await comparison.compare(call, layer, length, inputs));
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
