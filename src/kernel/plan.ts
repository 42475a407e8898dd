import type { AttentionShape } from './shape.ts';
import { shapeConstants } from './shape.ts';

/** How the keys of a step are shared among workgroups. */
export interface SplitPlan {
  /** Workgroups per KV head (and block of heads). */
  splits: number;
  /** Keys of one split. */
  chunk: number;
}

/** Workgroups in flight that keep a large GPU busy; more only adds partial results. */
const TARGET_WORKGROUPS = 1024;
/** Fewer keys than this do not pay for a workgroup. */
const MIN_CHUNK = 128;
/** One workgroup adds the partial results of all splits. */
const MAX_SPLITS = 256;

/** Splits `length` keys: enough workgroups for the device, none too small. */
export function planSplits(shape: AttentionShape, batch: number, length: number): SplitPlan {
  const { blocks } = shapeConstants(shape);
  const wanted = Math.ceil(TARGET_WORKGROUPS / (batch * shape.kvHeads * blocks));
  const splits = Math.max(1, Math.min(wanted, MAX_SPLITS, Math.ceil(length / MIN_CHUNK)));
  const chunk = Math.ceil(length / splits / 4) * 4;
  return { splits: Math.max(1, Math.ceil(length / chunk)), chunk };
}
