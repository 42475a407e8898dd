import { type AttentionShape, MAX_GROUP, MAX_HEAD_SIZE } from '../../kernel/shape.ts';
import { type StepInputs, ZEROS_BYTES } from '../../kernel/step/encoder.ts';
import { bufferOfEntry } from './device-finder.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Dispatch } from './pass-hook.ts';
import type { MatchedProgram } from './program.ts';

/** One attention of the runtime's in a decode step, in our terms, as far as its first program tells: not whether the shape has sinks. */
export interface AttendCall {
  shape: AttentionShape;
  batch: number;
  /** Query rows per sequence: 1 in a decode step, more in a short prompt. */
  newTokens: number;
  /** The largest length of the batch. */
  maxLength: number;
  /** The newest keys that are attended to; 0: all. */
  window: number;
  /** Rows between two KV heads of present_key and present_value. */
  capacity: number;
  scale: number;
  q: GPUBufferBinding;
  keys: GPUBufferBinding;
  /** i32 [batch]: length - 1. Undefined: every sequence has `maxLength` keys. */
  seqlens: GPUBufferBinding | undefined;
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

/** Bytes that a binding binds. */
export function sizeOf(binding: GPUBufferBinding): number {
  return binding.size ?? binding.buffer.size - (binding.offset ?? 0);
}

function uniformsOf(dispatch: Dispatch, program: MatchedProgram, hook: DeviceHook): DataView | undefined {
  const bound = bufferAt(dispatch, program.uniformBinding);
  const bytes = bound && hook.uniformBytes(bound.buffer);
  if (!bytes || !bound.offset) return bytes;
  return new DataView(bytes.buffer, bytes.byteOffset + bound.offset);
}

function uniformObstacle(bytes: DataView, program: MatchedProgram): string | undefined {
  const uniform = uniformReader(bytes, program);
  const used = program.unknownUniforms.find((name) => uniform(name) !== 0);
  return used && `the attention has an unknown uniform "${used}", which is ${uniform(used)}`;
}

/** Why a further program of an attention cannot be taken over, by the values of its uniforms. */
export function furtherObstacle(
  dispatch: Dispatch,
  program: MatchedProgram,
  hook: DeviceHook,
): string | undefined {
  if (program.unknownUniforms.length === 0) return undefined;
  const bytes = uniformsOf(dispatch, program, hook);
  return bytes ? uniformObstacle(bytes, program) : 'the uniforms of the attention were not seen';
}

/** Reads uniforms by name; what the program does not have is `absent`. */
function uniformReader(bytes: DataView, { uniforms }: MatchedProgram) {
  return (name: string, absent = 0): number => {
    const field = uniforms[name];
    if (!field) return absent;
    return field.type === 'f32' ? bytes.getFloat32(field.offset, true) : bytes.getUint32(field.offset, true);
  };
}

/**
 * Reads the bindings and uniforms of an attention's first program. Returns the reason if they are not as expected.
 * @param last the shape of the layer before, which is taken if it is the same: one object for all layers
 */
export function readAttendCall(
  dispatch: Dispatch,
  program: MatchedProgram,
  hook: DeviceHook,
  last?: AttentionShape,
): AttendCall | string {
  const bytes = uniformsOf(dispatch, program, hook);
  if (!bytes) return 'the uniforms of the attention were not seen';
  const obstacle = uniformObstacle(bytes, program);
  if (obstacle !== undefined) return obstacle;
  const uniform = uniformReader(bytes, program);
  const q = bufferOf(dispatch, program, 'q');
  const keys = bufferOf(dispatch, program, 'present_key');
  const seqlens = bufferOf(dispatch, program, 'seqlens_k');
  if (!q || !keys || ('seqlens_k' in program.bindings && !seqlens))
    return 'a buffer of the attention was not seen';
  const shape = shapeOf(uniform, program, last);
  if (typeof shape === 'string') return shape;
  const maxLength = uniform('total_sequence_length');
  const capacity = uniform('present_sequence_length');
  if (maxLength === 0) return 'the runtime reads the length from a buffer, as it does for graph capture';
  if (maxLength > capacity) return `length ${maxLength} with capacity ${capacity}`;
  const window = uniform('local_window_size');
  const call = {
    shape,
    batch: uniform('batch_size'),
    newTokens: uniform('new_sequence_length', 1),
    maxLength,
    // A window that everything lies in changes nothing.
    window: window < maxLength ? window : 0,
    capacity,
    scale: uniform('alpha'),
    q,
    keys,
    seqlens,
  };
  return cacheObstacle(call, keys) ?? call;
}

function shapeOf(
  uniform: (name: string) => number,
  { dtype }: MatchedProgram,
  last: AttentionShape | undefined,
): AttentionShape | string {
  const queryHeads = uniform('num_heads');
  const group = uniform('n_reps');
  const headSize = uniform('head_size_vec') * 4;
  if (queryHeads < 1 || group < 1 || group > MAX_GROUP || queryHeads % group !== 0)
    return `${queryHeads} query heads in groups of ${group}`;
  if (headSize < 4) return `head size ${headSize}`;
  if (headSize > MAX_HEAD_SIZE) return `head size ${headSize} is above ${MAX_HEAD_SIZE}`;
  const kvHeads = queryHeads / group;
  const same =
    last?.queryHeads === queryHeads &&
    last.kvHeads === kvHeads &&
    last.headSize === headSize &&
    last.dtype === dtype;
  return same ? last : { queryHeads, kvHeads, headSize, dtype };
}

/** Why a buffer cannot be K or V of a call. */
export function cacheObstacle(
  { shape, batch, capacity }: Pick<AttendCall, 'shape' | 'batch' | 'capacity'>,
  rows: GPUBufferBinding,
): string | undefined {
  const { kvHeads, headSize, dtype } = shape;
  const needed = batch * kvHeads * capacity * headSize * (dtype === 'f16' ? 2 : 4);
  const bound = sizeOf(rows);
  return bound < needed ? `K and V need ${needed} bytes each, ${bound} are bound` : undefined;
}

/** Sequences that have the same length without a buffer of lengths, at most: entries of the buffer of zeros. */
const MOST_SEQUENCES = ZEROS_BYTES / 4;

/** Why our kernels cannot take a call that is well formed. */
export function geometryObstacle({ window, batch, seqlens }: AttendCall): string | undefined {
  // The window of each sequence would begin elsewhere.
  if (window > 0 && batch > 1) return `a sliding window over ${batch} sequences`;
  if (!seqlens && batch > MOST_SEQUENCES) return `${batch} sequences without their lengths`;
  return undefined;
}

/**
 * The keys of a call as our kernels are told them.
 *
 * @param allKeys the one sequence sees all of its keys: their number is told without the runtime's tensor
 */
export function stepGeometry(
  { batch, seqlens, maxLength, window, capacity, scale }: AttendCall,
  zeros: GPUBuffer,
  allKeys: boolean,
): Omit<StepInputs, 'policy' | 'plan'> & { firstKey: number } {
  const firstKey = window > 0 ? maxLength - window : 0;
  const told = allKeys ? undefined : seqlens;
  return {
    batch,
    lengths: told ?? { buffer: zeros },
    lengthBias: (told ? 1 : maxLength) - firstKey,
    maxLength: maxLength - firstKey,
    firstKey,
    capacity,
    scale,
  };
}
