import type { AttentionShape } from '../../kernel/shape.ts';
import { bufferOfEntry, type DeviceHook } from './device-hook.ts';
import type { Dispatch } from './pass-hook.ts';
import type { MatchedProgram } from './program.ts';

/** One dispatch of the runtime's decode attention, in our terms. */
export interface AttendCall {
  shape: AttentionShape;
  batch: number;
  /** Query rows per sequence: 1 in a decode step, more in a short prompt. */
  newTokens: number;
  /** The largest length of the batch. */
  maxLength: number;
  /** Rows between two KV heads of present_key and present_value. */
  capacity: number;
  scale: number;
  q: GPUBufferBinding;
  keys: GPUBufferBinding;
  values: GPUBufferBinding;
  /** i32 [batch]: length - 1. */
  seqlens: GPUBufferBinding;
}

/** The buffer of a named binding. */
export function bufferOf(
  dispatch: Dispatch,
  program: MatchedProgram,
  name: string,
): GPUBufferBinding | undefined {
  return bufferAt(dispatch, program.bindings[name]);
}

function bufferAt({ entries }: Dispatch, binding: number | undefined): GPUBufferBinding | undefined {
  if (binding === undefined) return undefined;
  // The runtime lists its entries by number.
  const likely = entries[binding];
  if (likely?.binding === binding) return bufferOfEntry(likely);
  for (const entry of entries) if (entry.binding === binding) return bufferOfEntry(entry);
  return undefined;
}

function uniform(bytes: DataView, program: MatchedProgram, name: string): number {
  const { offset, type } = program.uniforms[name]!;
  return type === 'f32' ? bytes.getFloat32(offset, true) : bytes.getUint32(offset, true);
}

/**
 * Reads the runtime's bindings and uniforms. Returns the reason if they are not as expected.
 * @param last the call of the layer before, whose shape is taken if it is the same: one object for all layers
 */
export function readAttendCall(
  dispatch: Dispatch,
  program: MatchedProgram,
  hook: DeviceHook,
  last?: AttentionShape,
): AttendCall | string {
  const uniformBuffer = bufferAt(dispatch, program.uniformBinding)?.buffer;
  const bytes = uniformBuffer && hook.uniformBytes(uniformBuffer);
  if (!bytes) return 'the uniforms of the attention were not seen';
  const q = bufferOf(dispatch, program, 'q');
  const keys = bufferOf(dispatch, program, 'present_key');
  const values = bufferOf(dispatch, program, 'present_value');
  const seqlens = bufferOf(dispatch, program, 'seqlens_k');
  if (!q || !keys || !values || !seqlens) return 'a buffer of the attention was not seen';

  const queryHeads = uniform(bytes, program, 'num_heads');
  const group = uniform(bytes, program, 'n_reps');
  const headSize = uniform(bytes, program, 'head_size_vec') * 4;
  const maxLength = uniform(bytes, program, 'total_sequence_length');
  const capacity = uniform(bytes, program, 'present_sequence_length');
  const { dtype } = program;
  if (group < 1 || queryHeads % group !== 0) return `${queryHeads} query heads in groups of ${group}`;
  if (headSize > 256) return `head size ${headSize} is above 256`;
  if (maxLength < 1 || maxLength > capacity) return `length ${maxLength} with capacity ${capacity}`;
  const kvHeads = queryHeads / group;
  const same =
    last !== undefined &&
    last.queryHeads === queryHeads &&
    last.kvHeads === kvHeads &&
    last.headSize === headSize &&
    last.dtype === dtype;
  const batch = uniform(bytes, program, 'batch_size');
  const needed = batch * kvHeads * capacity * headSize * (dtype === 'f16' ? 2 : 4);
  const bound = Math.min(sizeOf(keys), sizeOf(values));
  if (bound < needed) return `K and V need ${needed} bytes, ${bound} are bound`;
  return {
    shape: same ? last : { queryHeads, kvHeads, headSize, dtype },
    batch,
    newTokens: uniform(bytes, program, 'new_sequence_length'),
    maxLength,
    capacity,
    scale: uniform(bytes, program, 'alpha'),
    q,
    keys,
    values,
    seqlens,
  };
}

function sizeOf(binding: GPUBufferBinding): number {
  return binding.size ?? binding.buffer.size - (binding.offset ?? 0);
}

/** A shape as a map key. */
export function shapeKey(shape: AttentionShape): string {
  return `${shape.queryHeads}/${shape.kvHeads} heads of ${shape.headSize}, ${shape.dtype}`;
}
