// What is read of a dispatch, and what is refused: a wrong shape must never reach our kernels.
import { beforeAll, describe, expect, test } from 'vitest';
import { defineWebGpuGlobals, FakeBuffer } from '../../testing/fake-device.ts';
import { type AttendCall, geometryObstacle, readAttendCall, stepGeometry } from './attend-call.ts';
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
  local_window_size: 0,
};
const NAMES = ['q', 'present_key', 'present_value', 'seqlens_k'];
/** Two sequences, two KV heads, 64 rows of 64 elements in f32. */
const CACHE_BYTES = 2 * 2 * 64 * 64 * 4;

const program = {
  role: 'attend',
  dtype: 'f32',
  bindings: Object.fromEntries(NAMES.map((name, i) => [name, i])),
  uniformBinding: NAMES.length,
  unknownUniforms: [],
  uniforms: Object.fromEntries(
    Object.keys(UNIFORMS).map((name, i) => [name, { offset: 4 * i, type: name === 'alpha' ? 'f32' : 'u32' }]),
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
    const { q, keys, seqlens } = call as AttendCall;
    expect([q, keys, seqlens].map((each) => each!.buffer)).toEqual([buffers[0], buffers[1], buffers[3]]);
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
    ['no heads', { num_heads: 0 }, '0 query heads in groups of 4'],
    ['a group that no kernel takes', { num_heads: 256, n_reps: 256 }, '256 query heads in groups of 256'],
    ['heads of nothing', { head_size_vec: 0 }, 'head size 0'],
    ['large heads', { head_size_vec: 160 }, 'head size 640 is above 512'],
    [
      'a length that is elsewhere',
      { total_sequence_length: 0 },
      'the runtime reads the length from a buffer, as it does for graph capture',
    ],
    ['more keys than there is room for', { total_sequence_length: 65 }, 'length 65 with capacity 64'],
  ])('refuses %s', (_, changes, reason) => {
    expect(read(changes)).toBe(reason);
  });

  test('refuses buffers that are smaller than the shape says', () => {
    expect(read({}, CACHE_BYTES - 1)).toBe(
      `K and V need ${CACHE_BYTES} bytes each, ${CACHE_BYTES - 1} are bound`,
    );
  });

  test.each(['q', 'present_key', 'seqlens_k'])('refuses a dispatch without %s', (name) => {
    expect(read({}, CACHE_BYTES, name)).toBe('a buffer of the attention was not seen');
  });

  test.each([
    [0, 0],
    [1, 1],
    [39, 39],
    // Everything lies in it.
    [40, 0],
    [1024, 0],
  ])('a window of %i of 40 keys counts as %i', (given, window) => {
    expect(read({ local_window_size: given })).toMatchObject({ window });
  });

  test('a uniform that is not known must be 0', () => {
    const unknown = { ...program, unknownUniforms: ['local_window_size'] };
    const none = dispatchOf();
    expect(readAttendCall(none.dispatch, unknown, none.hook)).toHaveProperty('shape');
    const some = dispatchOf({ local_window_size: 7 });
    expect(readAttendCall(some.dispatch, unknown, some.hook)).toBe(
      'the attention has an unknown uniform "local_window_size", which is 7',
    );
  });

  test('uniforms may lie at an offset in their buffer', () => {
    const { dispatch, hook, buffers } = dispatchOf();
    const bytes = new Uint8Array(512).fill(1);
    const entries = dispatch.entries as GPUBindGroupEntry[];
    const bound = entries.at(-1)!.resource as GPUBufferBinding;
    bytes.set(new Uint8Array(hook.uniformBytes(bound.buffer)!.buffer), 256);
    bound.offset = 256;
    const moved = { uniformBytes: () => new DataView(bytes.buffer) } as unknown as DeviceHook;
    const call = readAttendCall(dispatch, program, moved);
    expect(call).toMatchObject({ maxLength: 40, capacity: 64, scale: 0.125 });
    expect((call as AttendCall).q.buffer).toBe(buffers[0]);
  });

  test('refuses uniforms that it has not seen written', () => {
    const { dispatch } = dispatchOf();
    const { hook } = dispatchOf();
    expect(readAttendCall(dispatch, program, hook)).toBe('the uniforms of the attention were not seen');
  });
});

describe('the geometry of a call', () => {
  const call = read() as AttendCall;
  const zeros = {} as GPUBuffer;

  test('a window of several sequences, or many sequences without lengths, are left to the runtime', () => {
    expect(geometryObstacle(call)).toBeUndefined();
    expect(geometryObstacle({ ...call, window: 8 })).toBe('a sliding window over 2 sequences');
    expect(geometryObstacle({ ...call, window: 8, batch: 1 })).toBeUndefined();
    expect(geometryObstacle({ ...call, seqlens: undefined })).toBeUndefined();
    expect(geometryObstacle({ ...call, seqlens: undefined, batch: 257 })).toContain('257 sequences');
  });

  test('lengths come from the buffer, or are all the same', () => {
    expect(stepGeometry(call, zeros, false)).toMatchObject({
      lengths: call.seqlens,
      lengthBias: 1,
      maxLength: 40,
      firstKey: 0,
    });
    expect(stepGeometry({ ...call, seqlens: undefined }, zeros, false)).toMatchObject({
      lengths: { buffer: zeros },
      lengthBias: 40,
    });
    expect(stepGeometry(call, zeros, true)).toMatchObject({ lengths: { buffer: zeros }, lengthBias: 40 });
    expect(stepGeometry({ ...call, window: 10, seqlens: undefined }, zeros, false)).toMatchObject({
      lengthBias: 10,
      maxLength: 10,
      firstKey: 30,
    });
  });
});
