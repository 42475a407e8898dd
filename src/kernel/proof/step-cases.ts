import { type AttentionInputs, attentionScores, createRandom, siftedAttention } from '../../oracle/index.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import { destroyAll, type Owned } from '../gpu/allocate.ts';
import { fromFloat16, toFloat16 } from '../gpu/float16.ts';
import { download, type Uploaded, uploadAll } from '../gpu/transfer.ts';
import type { AttentionEncoder } from '../step/encoder.ts';
import { LayerState } from '../step/layer-state.ts';
import type { StepKind } from '../step/step-kinds.ts';
import { learnedError, outputError, type TestOutcome, testCases } from './test-cases.ts';

/** Steps on one contiguous cache of random rows that are held against the f64 oracle. */
export interface StepCases {
  /** Seed of the random rows. */
  seed: number;
  kinds: readonly StepKind[];
  /** The policy whose flags the steps have. */
  policy: ThresholdPolicy;
  /** Keys of each sequence: [batch]. */
  lengths: readonly number[];
  /** Rows before the first key, as before a sliding window. Default 0. */
  firstKey?: number;
}

/** What came of one step. */
export interface StepOutcome extends TestOutcome {
  kind: StepKind;
  /** Whether every head kept and every group read as many rows as in the oracle; true for dense steps. */
  countsAgree: boolean;
}

/** Fills the rows that are no keys. If a kernel read one, it would show in any result. */
const FOREIGN = 60000;

/** How far the attention sinks of successive heads are above the log-sum-exp of the head's scores. */
const SINK_OFFSETS = [0, Number.NEGATIVE_INFINITY, 5, -20, 60000];

/**
 * Runs a step of each kind on an encoder. If its shape has attention sinks, they lie far below, at and far above the log-sum-exp of the
 * scores that the heads have in the first sequence, and one is -Infinity; of fewer than five heads, the first ones of these.
 */
export async function* runStepCases(
  encoder: AttentionEncoder,
  given: StepCases,
): AsyncGenerator<StepOutcome> {
  const { shape, resources } = encoder;
  const { device } = resources;
  const { queryHeads, headSize, dtype } = shape;
  const { kinds, policy, lengths, firstKey = 0 } = given;
  const batch = lengths.length;
  const random = createRandom(given.seed);
  const inputs = drawInputs(encoder, given, random);
  const { capacity: maxLength } = inputs;
  const cases = testCases(kinds, policy, inputs, dtype, random);
  // A row more than the keys, so that also what lies behind them is foreign.
  const capacity = firstKey + maxLength + (firstKey > 0 ? 1 : 0);
  const rows = (keys: Float64Array): Uploaded => [amongForeignRows(inputs, keys, firstKey, capacity), dtype];
  const buffers = await uploadAll(device, 'The test needs', {
    q: [inputs.q, dtype],
    keys: rows(inputs.k),
    values: rows(inputs.v),
    sinks: [inputs.sinks ?? [], dtype],
    output: [new Float32Array(batch * queryHeads * headSize), dtype],
    lengths: [lengths, 'i32'],
  });
  const binding = (name: keyof typeof buffers) => ({ buffer: buffers[name] });
  const layer = {
    q: binding('q'),
    keys: binding('keys'),
    values: binding('values'),
    sinks: binding('sinks'),
  };
  const owned: Owned = Object.values(buffers);
  try {
    for (const { kind, policy: tested, plan, p } of cases) {
      const states = await LayerState.allocate(device, [shape], batch, tested);
      const [state] = states as [LayerState];
      owned.push(state);
      await encoder.reserve({ batch, maxLength, firstKey, policy: tested, plan }, states);
      const step = encoder.prepare({
        batch,
        lengths: binding('lengths'),
        lengthBias: 0,
        maxLength,
        capacity,
        firstKey,
        scale: 1 / Math.sqrt(headSize),
        policy: tested,
        plan,
      });
      const commands = device.createCommandEncoder();
      const pass = commands.beginComputePass();
      encoder.attend(pass, step, layer, state);
      encoder.combine(pass, step, binding('output'), state);
      pass.end();
      device.queue.submit([commands.finish()]);
      const got = await download(device, buffers.output, batch * queryHeads * headSize, dtype);
      const { heads, groups } = await state.read();
      state.destroy();
      const want = siftedAttention(inputs, new Float64Array(batch * queryHeads).fill(Math.log(p)), tested);
      yield {
        kind,
        error: outputError(got, want.output, shape),
        learnedError: plan.fit ? learnedError(heads, inputs) : 0,
        countsAgree:
          p === 0 ||
          (heads.every((head, h) => head.lastKept === want.keptRows[h]) &&
            groups.every((group, g) => group.lastUnion === want.groupRows[g])),
      };
    }
  } finally {
    destroyAll(owned);
  }
}

type DrawnInputs = AttentionInputs & { k: Float64Array; v: Float64Array };

/** Draws the tensors of a step as the oracle takes them: the capacity is the length of the longest sequence. */
function drawInputs(
  { shape }: AttentionEncoder,
  { lengths }: StepCases,
  random: ReturnType<typeof createRandom>,
): DrawnInputs {
  const { queryHeads, kvHeads, headSize, dtype, sinks } = shape;
  const batch = lengths.length;
  const capacity = Math.max(...lengths);
  const round = dtype === 'f16' ? (x: number) => fromFloat16(toFloat16(x)) : Math.fround;
  const draw = (count: number) => Float64Array.from({ length: count }, () => round(random.normal()));
  const q = draw(batch * queryHeads * headSize);
  const k = draw(batch * kvHeads * capacity * headSize);
  const v = draw(batch * kvHeads * capacity * headSize);
  const inputs = { q, k, v, batch, queryHeads, kvHeads, headSize, capacity, lengths };
  if (!sinks) return inputs;
  const { scores, logProbabilities } = attentionScores(inputs);
  const sinkOf = (head: number) => {
    const logSum = scores[head * capacity]! - logProbabilities[head * capacity]!;
    return round(logSum + SINK_OFFSETS[head % SINK_OFFSETS.length]!);
  };
  return { ...inputs, sinks: Float64Array.from({ length: queryHeads }, (_, head) => sinkOf(head)) };
}

/** Rows of K or V as they lie in a cache of another capacity, with foreign rows before and behind the keys. */
function amongForeignRows(
  { batch, kvHeads, headSize, capacity: from, lengths }: AttentionInputs,
  rows: Float64Array,
  firstKey: number,
  capacity: number,
): Float64Array {
  const all = new Float64Array(batch * kvHeads * capacity * headSize).fill(FOREIGN);
  for (let head = 0; head < batch * kvHeads; head++) {
    const length = (lengths as readonly number[])[Math.floor(head / kvHeads)]!;
    const own = rows.subarray(head * from * headSize, (head * from + length) * headSize);
    all.set(own, (head * capacity + firstKey) * headSize);
  }
  return all;
}
