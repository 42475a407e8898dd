import type { AttentionShape } from './shape.ts';
import { shapeConstants } from './shape.ts';
import { DEFAULT_TUNING, type Tuning } from './tuning.ts';

/** How the keys of a step are shared among workgroups. */
export interface SplitPlan {
  /** Workgroups per KV head (and block of heads). */
  splits: number;
  /** Keys of one split. */
  chunk: number;
}

/** One workgroup adds the partial results of all splits. */
export const MAX_SPLITS = 256;

/** The most keys that a workgroup of the kernels takes at a time, and from how many such batches on splits are made of whole ones. */
const BATCH = 128;
const BATCHES = 4;

/** Splits `length` keys: enough workgroups for the device, none too small. */
export function planSplits(
  shape: AttentionShape,
  batch: number,
  length: number,
  tuning: Tuning = DEFAULT_TUNING,
  onePass = false,
): SplitPlan {
  const { blocks, heads } = shapeConstants(shape);
  // The one-pass kernel holds so much of more than four heads that half as many workgroups fit at a time.
  const atOnce = onePass ? tuning.siftWorkgroups / (heads > 4 ? 2 : 1) : tuning.workgroups;
  const wanted = Math.ceil(atOnce / (batch * shape.kvHeads * blocks));
  const splits = Math.max(1, Math.min(wanted, MAX_SPLITS, Math.ceil(length / tuning.minChunk)));
  const share = length / splits;
  // Long splits hold whole batches of rows: a part of one takes as long as all of it.
  const unit = share > (BATCHES - 1) * BATCH ? BATCH : 4;
  const chunk = Math.ceil(share / unit) * unit;
  return { splits: Math.max(1, Math.ceil(length / chunk)), chunk };
}
