import type { AttentionShape } from '../shape.ts';
import { shapeConstants } from '../shape.ts';
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

/** With fewer splits than this, one less of them costs more than a workgroup that has to wait. */
const MANY_SPLITS = 16;

/**
 * Splits `length` keys: enough workgroups for the device, none too small.
 *
 * @param onePass for the one-pass kernel
 * @param beside workgroups per KV head (and block of heads) that run beside the splits
 */
export function planSplits(
  shape: AttentionShape,
  batch: number,
  length: number,
  tuning: Tuning = DEFAULT_TUNING,
  onePass = false,
  beside = 0,
): SplitPlan {
  const { blocks, heads } = shapeConstants(shape);
  // The kernels hold so much of more than four heads that half as many workgroups fit at a time.
  const atOnce = (onePass ? tuning.siftWorkgroups : tuning.workgroups) / (heads > 4 ? 2 : 1);
  const all = Math.ceil(atOnce / (batch * shape.kvHeads * blocks));
  // All run at the same time: one that waited for a place would take as long again.
  const wanted = all > MANY_SPLITS ? all - beside : all;
  const splits = Math.max(1, Math.min(wanted, MAX_SPLITS - beside, Math.ceil(length / tuning.minChunk)));
  const share = length / splits;
  // Long splits hold whole batches of rows: a part of one takes as long as all of it.
  const unit = share > (BATCHES - 1) * BATCH ? BATCH : 4;
  const chunk = Math.ceil(share / unit) * unit;
  return { splits: Math.max(1, Math.ceil(length / chunk)), chunk };
}
