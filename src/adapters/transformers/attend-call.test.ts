// What is read of a dispatch, and what is refused: a wrong shape must never reach our kernels.
import { beforeAll, describe, expect, test } from 'vitest';
import { defineWebGpuGlobals, FakeBuffer } from '../../testing/fake-device.ts';
import { type AttendCall, readAttendCall } from './attend-call.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Dispatch } from './pass-hook.ts';
import type { MatchedProgram } from './program.ts';

beforeAll(defineWebGpuGlobals);

const UNIFORMS = {
  head_size_vec: 16,
  total_sequence_length: 40,
  alpha: 0.125,
  present_sequence_length: 64,
  n_reps: 4,
  num_heads: 8,
  batch_size: 2,
  new_sequence_length: 1,
};
const NAMES = ['q', 'present_key', 'present_value', 'seqlens_k'];
/** Two sequences, two KV heads, 64 rows of 64 elements in f32. */
const CACHE_BYTES = 2 * 2 * 64 * 64 * 4;

const program = {
  role: 'attend',
  dtype: 'f32',
  bindings: Object.fromEntries(NAMES.map((name, i) => [name, i])),
  uniformBinding: NAMES.length,
  uniforms: Object.fromEntries(
    Object.keys(UNIFORMS).map((name, i) => [
      name,
      { offset: 4 * i, type: name === 'alpha' ? ('f32' as const) : ('u32' as const) },
    ]),
  ),
} as unknown as MatchedProgram;

function dispatchOf(changes: Partial<typeof UNIFORMS> = {}, cacheBytes = CACHE_BYTES, missing?: string) {
  const bytes = new DataView(new ArrayBuffer(64));
  Object.entries({ ...UNIFORMS, ...changes }).forEach(([name, value], i) => {
    if (name === 'alpha') bytes.setFloat32(4 * i, value, true);
    else bytes.setUint32(4 * i, value, true);
  });
  const buffers = NAMES.map(
    (name) => new FakeBuffer(undefined, { size: name.startsWith('present') ? cacheBytes : 4096 }),
  );
  const uniforms = new FakeBuffer(undefined, { size: 64 });
  const entries = [...buffers, uniforms]
    .map((buffer, binding) => ({ binding, resource: { buffer } }))
    .filter(({ binding }) => missing === undefined || NAMES[binding] !== missing);
  const hook = { uniformBytes: (buffer: unknown) => (buffer === uniforms ? bytes : undefined) };
  return {
    dispatch: { entries } as unknown as Dispatch,
    hook: hook as unknown as DeviceHook,
    buffers,
  };
}

const read = (...given: Parameters<typeof dispatchOf>): AttendCall | string => {
  const { dispatch, hook } = dispatchOf(...given);
  return readAttendCall(dispatch, program, hook);
};

describe('readAttendCall', () => {
  test('reads shape, lengths, scale and buffers', () => {
    const { dispatch, hook, buffers } = dispatchOf();
    const call = readAttendCall(dispatch, program, hook);
    expect(call).toMatchObject({
      shape: { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' },
      batch: 2,
      newTokens: 1,
      maxLength: 40,
      capacity: 64,
      scale: 0.125,
    });
    const { q, keys, values, seqlens } = call as AttendCall;
    expect([q, keys, values, seqlens].map(({ buffer }) => buffer)).toEqual(buffers);
  });

  test('takes the shape of the layer before if it is the same', () => {
    const { dispatch, hook } = dispatchOf();
    const first = readAttendCall(dispatch, program, hook) as AttendCall;
    expect((readAttendCall(dispatch, program, hook, first.shape) as AttendCall).shape).toBe(first.shape);
    const other = dispatchOf({ n_reps: 2 }, 2 * CACHE_BYTES);
    const call = readAttendCall(other.dispatch, program, other.hook, first.shape) as AttendCall;
    expect(call.shape).toMatchObject({ kvHeads: 4 });
  });

  test('finds entries that are not listed by their numbers', () => {
    const { dispatch, hook, buffers } = dispatchOf();
    (dispatch.entries as GPUBindGroupEntry[]).reverse();
    expect((readAttendCall(dispatch, program, hook) as AttendCall).q.buffer).toBe(buffers[0]);
  });

  test.each([
    ['heads that are no whole groups', { n_reps: 3 }, '8 query heads in groups of 3'],
    ['a group of none', { n_reps: 0 }, '8 query heads in groups of 0'],
    ['large heads', { head_size_vec: 80 }, 'head size 320 is above 256'],
    ['no keys', { total_sequence_length: 0 }, 'length 0 with capacity 64'],
    ['more keys than there is room for', { total_sequence_length: 65 }, 'length 65 with capacity 64'],
  ])('refuses %s', (_, changes, reason) => {
    expect(read(changes)).toBe(reason);
  });

  test('refuses buffers that are smaller than the shape says', () => {
    expect(read({}, CACHE_BYTES - 1)).toBe(`K and V need ${CACHE_BYTES} bytes, ${CACHE_BYTES - 1} are bound`);
  });

  test.each(NAMES)('refuses a dispatch without %s', (name) => {
    expect(read({}, CACHE_BYTES, name)).toBe('a buffer of the attention was not seen');
  });

  test('refuses uniforms that it has not seen written', () => {
    const { dispatch } = dispatchOf();
    const { hook } = dispatchOf();
    expect(readAttendCall(dispatch, program, hook)).toBe('the uniforms of the attention were not seen');
  });
});
