import { invalidOption } from '../errors.ts';
import { type Dropped, type Keys, LINEAR_GAIN, type Normaliser } from '../policy/index.ts';
import { type AttentionScores, accumulateValues, attentionScores, keyShare, softmaxOf } from './attention.ts';
import { estimateLogNormaliser } from './estimate.ts';
import type { AttentionInputs, ResolvedInputs } from './inputs.ts';
import { resolveInputs } from './inputs.ts';
import { addDropped, type ValueMoments, valueMoments } from './moments.ts';
import { betweenEdges, FOREIGN, isEdgeKey, type ShadowStatistics, shadowScores } from './shadow.ts';

/** What is done with the rows above the threshold; a ThresholdPolicy fits. Everything defaults to the paper's. */
export interface SiftedAttentionOptions {
  /** What stands for the mass of the rows that are not read. Default `'none'`. */
  readonly dropped?: Dropped;
  /** What the probabilities are judged with. Default `'exact'`. */
  readonly normaliser?: Normaliser;
  /**
   * What the scores come from that choose rows. Default `'exact'`. With `'shadow'` rows are chosen by the estimate and shared in the group,
   * whatever the options say.
   */
  readonly keys?: Keys;
  /** What the shadow is encoded with, [batch * kvHeads], if it is not measured from these rows. */
  readonly statistics?: readonly ShadowStatistics[];
  /** Rows that any query head of a KV group keeps contribute to all heads of the group. */
  readonly shareGroup?: boolean;
  /** Row S-1 is always kept. */
  readonly keepNewest?: boolean;
  /** The rows with the maximum score (all, if several are equal) are always kept. */
  readonly keepLargest?: boolean;
  /** Bytes per element of K and V, for {@link SiftedAttention.bytes}. Default 2 (f16). */
  readonly elementBytes?: number;
}

/** Bytes of K and V for one layer and one decode step, all sequences together. */
export interface AttentionBytes {
  /** All K rows; or the shadow of those that are no edge keys, and the exact K rows that are read. */
  readonly k: number;
  /** V rows read: those that at least one head of the KV group keeps. */
  readonly v: number;
  /** k + v. */
  readonly total: number;
  /** What dense attention reads: all rows of K and V. */
  readonly dense: number;
}

/** Result of {@link siftedAttention}. */
export interface SiftedAttention {
  /** [batch, queryHeads, headSize]; zeros for a head to which no row contributes. */
  readonly output: Float64Array;
  /** 1 where the head itself keeps the row, before sharing: [batch, queryHeads, capacity]. */
  readonly kept: Uint8Array;
  /** Rows the head itself keeps, before sharing: [batch, queryHeads]. */
  readonly keptRows: Uint32Array;
  /** 1 where any head of the group keeps the row: [batch, kvHeads, capacity]. */
  readonly groupKept: Uint8Array;
  /** V rows read per KV head, the union over its group: [batch, kvHeads]. */
  readonly groupRows: Uint32Array;
  /** Probability mass that contributes to each head (with sharing: the mass of the union): [batch, queryHeads]. */
  readonly keptMass: Float64Array;
  readonly bytes: AttentionBytes;
}

interface Decision {
  readonly kept: Uint8Array;
  readonly keptRows: Uint32Array;
  readonly groupKept: Uint8Array;
  readonly groupRows: Uint32Array;
}

/** Natural logarithms of the probabilities that rows are chosen by: [batch, queryHeads, capacity]. */
export function judgedLogProbabilities(
  inputs: AttentionInputs,
  { scores, logProbabilities }: AttentionScores,
  normaliser: Normaliser = 'exact',
): Float64Array {
  if (normaliser === 'exact') return logProbabilities;
  const { lengths, queryHeads, batch, capacity } = resolveInputs(inputs);
  const judged = new Float64Array(scores.length).fill(-Infinity);
  for (let head = 0; head < batch * queryHeads; head++) {
    const length = lengths[Math.floor(head / queryHeads)]!;
    const row = scores.subarray(head * capacity, head * capacity + length);
    const whole = estimateLogNormaliser(row, length);
    judged.set(
      row.map((score) => score - whole),
      head * capacity,
    );
  }
  return judged;
}

/**
 * The same where rows are chosen by the shadow: [batch, queryHeads, capacity] each.
 *
 * @returns `screened`, by which rows are read, and `exact`, by which heads keep the rows that are read
 */
export function shadowLogProbabilities(
  inputs: AttentionInputs,
  attention: AttentionScores,
  statistics?: readonly ShadowStatistics[],
): { screened: Float64Array; exact: Float64Array; scores: Float64Array } {
  const scores = shadowScores(resolveInputs(inputs), attention.scores, statistics);
  const screened = judgedLogProbabilities(inputs, { ...attention, scores }, 'estimate');
  const exact = screened.map((log, at) => attention.scores[at]! - scores[at]! + log);
  // A row that the shadow does not describe is read whatever it holds.
  screened.forEach((_, at) => {
    if (scores[at] === FOREIGN) screened[at] = Infinity;
  });
  return { screened, exact, scores };
}

/** Which rows each head keeps, and the union over each group. */
function decide(
  x: ResolvedInputs,
  logProbabilities: Float64Array,
  logThresholds: ArrayLike<number>,
  options: SiftedAttentionOptions,
): Decision {
  const { batch, queryHeads, kvHeads, capacity, groupSize } = x;
  const kept = new Uint8Array(batch * queryHeads * capacity);
  const keptRows = new Uint32Array(batch * queryHeads);
  const groupKept = new Uint8Array(batch * kvHeads * capacity);
  const groupRows = new Uint32Array(batch * kvHeads);
  for (let head = 0; head < batch * queryHeads; head++) {
    const length = x.lengths[Math.floor(head / queryHeads)]!;
    const group = Math.floor(head / groupSize);
    let threshold = logThresholds[head]!;
    if (options.keepLargest) {
      const row = logProbabilities.subarray(head * capacity, head * capacity + length);
      threshold = Math.min(
        threshold,
        row.reduce((a, c) => Math.max(a, c), -Infinity),
      );
    }
    for (let i = 0; i < length; i++) {
      const newest = options.keepNewest === true && i === length - 1;
      if (!newest && !(logProbabilities[head * capacity + i]! >= threshold)) continue;
      kept[head * capacity + i] = 1;
      keptRows[head]!++;
      if (groupKept[group * capacity + i] === 0) groupRows[group]!++;
      groupKept[group * capacity + i] = 1;
    }
  }
  return { kept, keptRows, groupKept, groupRows };
}

/**
 * Chooses rows by the shadow. The edge keys are read, and what some head of the group keeps by its score from the shadow. Of these rows a
 * head keeps those that its exact score keeps.
 *
 * @returns the scores that rows take part in the softmax with, exact where they are read, and the decision
 */
function decideByShadow(
  x: ResolvedInputs,
  exact: AttentionScores,
  logThresholds: ArrayLike<number>,
  options: SiftedAttentionOptions,
): { attention: AttentionScores; decision: Decision } {
  const { batch, queryHeads, kvHeads, capacity, groupSize } = x;
  const { screened, exact: judged, scores } = shadowLogProbabilities(x, exact, options.statistics);
  const read = decide(x, screened, logThresholds, { ...options, keepLargest: false });
  for (let group = 0; group < batch * kvHeads; group++) {
    const length = x.lengths[Math.floor(group / kvHeads)]!;
    for (let i = 0; i < length; i++) {
      if (!isEdgeKey(i, length) || read.groupKept[group * capacity + i] === 1) continue;
      read.groupKept[group * capacity + i] = 1;
      read.groupRows[group]!++;
    }
  }
  const kept = new Uint8Array(batch * queryHeads * capacity);
  const keptRows = new Uint32Array(batch * queryHeads);
  for (let head = 0; head < batch * queryHeads; head++) {
    const length = x.lengths[Math.floor(head / queryHeads)]!;
    const group = Math.floor(head / groupSize);
    for (let i = 0; i < length; i++) {
      if (read.groupKept[group * capacity + i] === 0) continue;
      const at = head * capacity + i;
      scores[at] = exact.scores[at]!;
      const newest = options.keepNewest === true && i === length - 1;
      if (!newest && !(judged[at]! >= logThresholds[head]!)) continue;
      kept[at] = 1;
      keptRows[head]!++;
    }
  }
  return { attention: softmaxOf(x, scores), decision: { ...read, kept, keptRows } };
}

function countBytes(
  x: ResolvedInputs,
  groupRows: Uint32Array,
  elementBytes: number,
  keys: Keys,
): AttentionBytes {
  const row = x.headSize * elementBytes;
  const rows = x.lengths.reduce((sum, length) => sum + length, 0) * x.kvHeads;
  const v = groupRows.reduce((sum, count) => sum + count, 0) * row;
  const coded = x.lengths.reduce((sum, length) => sum + betweenEdges(length), 0) * x.kvHeads;
  const k = keys === 'shadow' ? coded * (x.headSize / 4 + 1) + v : rows * row;
  return { k, v, total: k + v, dense: 2 * rows * row };
}

/**
 * Sifted decode attention in f64: exact probabilities over all keys, and only the V rows that are kept. Row i of
 * a head is kept iff log p_i >= its threshold. With everything kept the result is that of `denseAttention`;
 * with nothing kept the output is zero, also when
 * renormalising, or what stands for the dropped rows. Attention sinks change nothing but the output: rows are judged, and the kept mass is
 * counted, among the keys.
 *
 * Source: arXiv 2506.05300, step 4 of a decode step (p >= eta); `dropped`, `normaliser`, `shareGroup`, `keepNewest` and
 * `keepLargest` are not in the paper.
 *
 * @param inputs - one decode step, see {@link AttentionInputs} for shapes
 * @param logThresholds - natural logs of the thresholds, [batch, queryHeads]; -Infinity keeps every row
 * @throws SiftError INVALID_OPTION when a shape does not fit or a threshold is NaN
 */
export function siftedAttention(
  inputs: AttentionInputs,
  logThresholds: ArrayLike<number>,
  options: SiftedAttentionOptions = {},
): SiftedAttention {
  const x = resolveInputs(inputs);
  const { batch, queryHeads, kvHeads, headSize, capacity, groupSize } = x;
  const heads = batch * queryHeads;
  if (logThresholds.length !== heads) {
    throw invalidOption('logThresholds', logThresholds, `${heads} numbers, [batch, queryHeads]`);
  }
  for (let head = 0; head < heads; head++) {
    if (Number.isNaN(logThresholds[head]!)) {
      throw invalidOption(`logThresholds[${head}]`, NaN, 'a number or -Infinity (keep every row)');
    }
  }
  const elementBytes = options.elementBytes ?? 2;
  if (!(elementBytes > 0)) throw invalidOption('elementBytes', elementBytes, 'a number > 0');

  const { keys = 'exact' } = options;
  const exact = attentionScores(x);
  const { attention, decision } =
    keys === 'shadow'
      ? decideByShadow(x, exact, logThresholds, options)
      : {
          attention: exact,
          decision: decide(x, judgedLogProbabilities(x, exact, options.normaliser), logThresholds, options),
        };
  const { probabilities } = attention;
  const { dropped = 'none' } = options;
  const weights = new Float64Array(probabilities.length);
  const keptMass = new Float64Array(heads);
  const output = new Float64Array(heads * headSize);
  const moments: ValueMoments[] = [];
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) {
      const head = b * queryHeads + h;
      const group = b * kvHeads + Math.floor(h / groupSize);
      const [mask, maskAt] =
        options.shareGroup || keys === 'shadow'
          ? [decision.groupKept, group * capacity]
          : [decision.kept, head * capacity];
      for (let i = 0; i < x.lengths[b]!; i++) {
        if (mask[maskAt + i] === 0) continue;
        weights[head * capacity + i] = probabilities[head * capacity + i]!;
        keptMass[head]! += probabilities[head * capacity + i]!;
      }
      const mass = keptMass[head]!;
      if (mass > 0) accumulateValues(x, b, h, weights, dropped === 'renormalise' ? 1 / mass : 1, output);
      if (dropped === 'mean' || dropped === 'linear') {
        moments[group] ??= valueMoments(x, b, group % kvHeads);
        addDropped(x, head, moments[group]!, 1 - mass, dropped === 'linear' ? LINEAR_GAIN : 0, output);
      }
      const share = keyShare(x, attention, head);
      for (let d = 0; d < headSize; d++) output[head * headSize + d]! *= share;
    }
  }
  return { output, ...decision, keptMass, bytes: countBytes(x, decision.groupRows, elementBytes, keys) };
}
