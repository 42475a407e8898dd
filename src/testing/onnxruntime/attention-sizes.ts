import type { AttentionShape } from '../../kernel/shape.ts';
import { REDUCE_WORKGROUP, TILE } from './attention-programs.ts';
import type { StandInProgram } from './program.ts';

/** A decode step of one sequence, as the runtime's programs see it. */
export interface StepSizes {
  /** Keys, the new one among them. */
  length: number;
  /** Rows that the cache has room for, and that of before. */
  capacity: number;
  pastCapacity: number;
  /** Keys of a sliding window; 0 without one. Default 0. */
  window?: number;
  /** The length is in a buffer, as it is where commands were captured. Default false. */
  captured?: boolean;
}

/** The values of the uniforms of the attention's programs, by their roles. */
export function attentionUniforms(
  { queryHeads, kvHeads, headSize }: AttentionShape,
  { length, capacity, pastCapacity, window = 0, captured = false }: StepSizes,
): Record<string, number> {
  return {
    head_size_vec: headSize / 4,
    total_sequence_length: captured ? 0 : length,
    alpha: 1 / Math.sqrt(headSize),
    present_sequence_length: capacity,
    n_reps: queryHeads / kvHeads,
    num_present_sequence_length_tile: Math.ceil(capacity / TILE),
    num_total_seq_length_tile: Math.ceil(length / TILE),
    num_head_size_tile: Math.ceil(headSize / 4 / REDUCE_WORKGROUP),
    num_heads: queryHeads,
    batch_size: 1,
    batch_heads: queryHeads,
    new_sequence_length: 1,
    local_window_size: window,
    past_sequence_length: length - 1,
    past_capacity: pastCapacity,
    kv_rows: kvHeads,
  };
}

/** Workgroups that a program of the attention takes. */
export function attentionWorkgroups(
  { label }: StandInProgram,
  { queryHeads, kvHeads, headSize }: AttentionShape,
  length: number,
): number {
  if (label === 'CopyKVCache') return Math.ceil((kvHeads * length * (headSize / 4)) / 64);
  if (label === 'FlashAttentionDecodeVxReduce')
    return queryHeads * Math.ceil(headSize / 4 / REDUCE_WORKGROUP);
  return queryHeads * Math.ceil(length / TILE);
}
