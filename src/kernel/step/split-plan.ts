import type { AttentionShape } from '../shape.ts';
import { shapeConstants } from '../shape.ts';
import { DEFAULT_TUNING, type Tuning } from './tuning.ts';

/** How the keys of a step are shared among workgroups. A split is a workgroup with its share. */
export interface SplitPlan {
  /** Splits of each KV head, for each block of its query heads. */
  splits: number;
  /** Keys of one split. */
  chunk: number;
}

/** The most splits: one workgroup of combine merges all splits of a head. */
export const MAX_SPLITS = 256;

/** The largest tile of the kernels that read K rows. */
const LARGEST_TILE = 128;
/** Splits that need at least so many tiles get whole tiles. */
const WHOLE_TILES_FROM = 4;

/** With fewer splits than this, one split less costs more than a workgroup that has to wait for its turn. */
const MANY_SPLITS = 16;

/**
 * Shares `length` keys among enough workgroups to keep the device busy, none of them too small.
 *
 * @param batch sequences
 * @param length keys of the longest sequence
 * @param onePass whether the plan is for the sift kernel, which has its own number of workgroups
 * @param beside workgroups of each KV head (for each block of its query heads) that run beside the splits
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
  // With more than four heads, a workgroup needs so many registers that half as many run at the same time.
  const atOnce = (onePass ? tuning.siftWorkgroups : tuning.workgroups) / (heads > 4 ? 2 : 1);
  const all = Math.ceil(atOnce / (batch * shape.kvHeads * blocks));
  // All workgroups should run at the same time, since one that waits for another would double the time.
  const wanted = all > MANY_SPLITS ? all - beside : all;
  const splits = Math.max(1, Math.min(wanted, MAX_SPLITS - beside, Math.ceil(length / tuning.minChunk)));
  const share = length / splits;
  // Long splits have whole tiles, since a part of a tile takes as long as a whole one.
  const unit = share > (WHOLE_TILES_FROM - 1) * LARGEST_TILE ? LARGEST_TILE : 4;
  const chunk = Math.ceil(share / unit) * unit;
  return { splits: Math.max(1, Math.ceil(length / chunk)), chunk };
}
