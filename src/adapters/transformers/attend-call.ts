import type { AttentionShape } from '../../kernel/shape.ts';
import { bufferOfEntry, type DeviceHook, type Dispatch } from './device-hook.ts';
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

function bufferAt(dispatch: Dispatch, binding: number | undefined): GPUBufferBinding | undefined {
  return bufferOfEntry(dispatch.entries.find((entry) => entry.binding === binding));
}

/** Reads the runtime's bindings and uniforms. Returns the reason if they are not as expected. */
export function readAttendCall(
  dispatch: Dispatch,
  program: MatchedProgram,
  hook: DeviceHook,
): AttendCall | string {
  const uniformBuffer = bufferAt(dispatch, program.uniformBinding)?.buffer;
  const bytes = uniformBuffer && hook.uniformBytes(uniformBuffer);
  if (!bytes) return 'the uniforms of the attention were not seen';
  const uniform = (name: string): number => {
    const field = program.uniforms[name]!;
    return field.type === 'f32' ? bytes.getFloat32(field.offset, true) : bytes.getUint32(field.offset, true);
  };
  const q = bufferOf(dispatch, program, 'q');
  const keys = bufferOf(dispatch, program, 'present_key');
  const values = bufferOf(dispatch, program, 'present_value');
  const seqlens = bufferOf(dispatch, program, 'seqlens_k');
  if (!q || !keys || !values || !seqlens) return 'a buffer of the attention was not seen';

  const queryHeads = uniform('num_heads');
  const group = uniform('n_reps');
  const headSize = uniform('head_size_vec') * 4;
  const maxLength = uniform('total_sequence_length');
  const capacity = uniform('present_sequence_length');
  if (group < 1 || queryHeads % group !== 0) return `${queryHeads} query heads in groups of ${group}`;
  if (headSize > 256) return `head size ${headSize} is above 256`;
  if (maxLength < 1 || maxLength > capacity) return `length ${maxLength} with capacity ${capacity}`;
  const call: AttendCall = {
    shape: { queryHeads, kvHeads: queryHeads / group, headSize, dtype: program.dtype },
    batch: uniform('batch_size'),
    newTokens: uniform('new_sequence_length'),
    maxLength,
    capacity,
    scale: uniform('alpha'),
    q,
    keys,
    values,
    seqlens,
  };
  const rowBytes = headSize * (program.dtype === 'f16' ? 2 : 4);
  const needed = call.batch * call.shape.kvHeads * capacity * rowBytes;
  const bound = Math.min(sizeOf(keys), sizeOf(values));
  return bound < needed ? `K and V need ${needed} bytes, ${bound} are bound` : call;
}

function sizeOf(binding: GPUBufferBinding): number {
  return binding.size ?? binding.buffer.size - (binding.offset ?? 0);
}

/** A shape as a map key. */
export function shapeKey(shape: AttentionShape): string {
  return `${shape.queryHeads}/${shape.kvHeads} heads of ${shape.headSize}, ${shape.dtype}`;
}
