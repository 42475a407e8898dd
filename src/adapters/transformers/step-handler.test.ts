// What is replaced is replaced whole or not at all, whatever follows the runtime's first program.
import { beforeAll, describe, expect, test } from 'vitest';
import type { AttentionEncoder, LayerInputs, StepInputs } from '../../kernel/step/encoder.ts';
import type { LayerState } from '../../kernel/step/layer-state.ts';
import { planStep, presetPolicy } from '../../policy/index.ts';
import { attentionKey } from '../shared/attention-key.ts';
import { type Conversation, StepAccount } from '../shared/conversation.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Dispatch } from './pass-hook.ts';
import { isMatched, type MatchedProgram, type Program, type RejectedProgram } from './program.ts';
import type { Tensors } from './session-hook.ts';
import { StepHandler } from './step-handler.ts';

const LENGTH = 40;
const CAPACITY = 64;
const UNIFORMS = {
  head_size_vec: 8,
  total_sequence_length: LENGTH,
  alpha: 0.18,
  present_sequence_length: CAPACITY,
  n_reps: 2,
  num_heads: 4,
  batch_size: 1,
  new_sequence_length: 1,
};

class FakeBuffer {
  destroyed = false;
  constructor(
    readonly label: string,
    readonly size = 1 << 20,
  ) {}
  destroy(): void {
    this.destroyed = true;
  }
  getMappedRange(): ArrayBuffer {
    return new ArrayBuffer(this.size);
  }
  unmap(): void {}
}

beforeAll(() => {
  Object.assign(globalThis, {
    GPUBuffer: FakeBuffer,
    GPUBufferUsage: { UNIFORM: 64, STORAGE: 128 },
  });
});

const program = (role: MatchedProgram['role'], names: string[]): MatchedProgram => ({
  role,
  dtype: 'f32',
  bindings: Object.fromEntries(names.map((name, i) => [name, i])),
  uniformBinding: names.length,
  unknownUniforms: [],
  uniforms: Object.fromEntries(
    Object.keys(UNIFORMS).map((name, i) => [
      name,
      { offset: 4 * i, type: name === 'alpha' ? ('f32' as const) : ('u32' as const) },
    ]),
  ),
  interface: '',
});
const ATTEND = program('attend', ['q', 'present_key', 'present_value', 'seqlens_k']);
const SCORES = program('scores', ['q', 'present_key']);
const VALUES = program('values', ['present_value']);
const REDUCE = program('reduce', ['output']);
const SINKS = program('reduce', ['output', 'head_sink']);
const REJECTED: RejectedProgram = { role: 'reduce', reason: 'the reduction has an unknown binding' };

function setUp({ windows = true, mask = [] as readonly bigint[] } = {}) {
  const log: string[] = [];
  const keys = new FakeBuffer('keys');
  const uniformBuffer = new FakeBuffer('uniforms', 4 * Object.keys(UNIFORMS).length + 4);
  const view = new DataView(new ArrayBuffer(uniformBuffer.size));
  Object.entries(UNIFORMS).forEach(([name, value], i) => {
    if (name === 'alpha') view.setFloat32(4 * i, value, true);
    else view.setUint32(4 * i, value, true);
  });
  const made: FakeBuffer[] = [];
  /** What was bound, in the order of the entries. */
  const bound: { buffer: FakeBuffer; offset?: number; size?: number }[] = [];
  const device = {
    createBuffer: ({ label, size }: { label: string; size: number }) => {
      made.push(new FakeBuffer(label, size));
      return made.at(-1);
    },
    createBindGroup: ({ entries }: { entries: { resource: { buffer: FakeBuffer } }[] }) => {
      bound.push(...entries.map(({ resource }) => resource));
      return { of: entries.map(({ resource }) => resource.buffer.label) };
    },
  };
  /** What was written for dispatches that were held back. */
  const written: Uint8Array[] = [];
  const params = {
    buffer: new FakeBuffer('sift params'),
    write: (bytes: ArrayBuffer) => {
      written.push(new Uint8Array(bytes));
      return 256;
    },
  };
  const hook = { device, uniformBytes: () => view } as unknown as DeviceHook;
  const pass = {
    setPipeline: (pipeline: unknown) => log.push(`stock ${(pipeline as { name: string }).name}`),
    setBindGroup: (_: number, group: { of: string[] }) => log.push(`binds ${group.of.join(' ')}`),
    dispatchWorkgroups: (x: number) => log.push(`dispatches ${x}`),
  } as unknown as GPUComputePassEncoder;
  const prepared: StepInputs[] = [];
  const encoder = {
    siftFrom: 0,
    resources: { device, params, zeros: new FakeBuffer('zeros') },
    prepare: (inputs: StepInputs) => {
      prepared.push(inputs);
      return inputs;
    },
    attend: () => log.push('our attend'),
    combine: () => log.push('our combine'),
  } as unknown as AttentionEncoder;
  const policy = presetPolicy('exact');
  const layers = new Map([[0, {} as LayerState]]);
  const conversation = {
    batch: 1,
    policy,
    layers,
  } as unknown as Conversation;
  const account = new StepAccount(planStep(policy, 1, LENGTH), LENGTH);
  const feeds = {
    'past_key_values.0.key': { location: 'gpu-buffer', gpuBuffer: keys },
    attention_mask: { location: 'cpu', dims: [1, mask.length], data: BigInt64Array.from(mask) },
  } as unknown as Tensors;
  const sunk: LayerInputs[] = [];
  const encoders = new Map([['4/2 heads of 32, f32', encoder]]);
  const prepareSinks = () =>
    encoders.set('4/2 heads of 32, f32, with sinks', {
      ...encoder,
      attend: (_: unknown, __: unknown, layer: LayerInputs) => sunk.push(layer),
      combine: () => log.push('our combine with sinks'),
    } as unknown as AttentionEncoder);
  const handler = new StepHandler(hook, encoders, windows, conversation, account, feeds);
  const dispatch = (of: Program | undefined, known = true): Dispatch => {
    const names = of && 'bindings' in of ? Object.keys(of.bindings) : ['x'];
    const buffers = names.map((name) => (name === 'present_key' ? keys : new FakeBuffer(name)));
    const entries = [...buffers, uniformBuffer].map((buffer, binding) => ({ binding, resource: { buffer } }));
    return {
      pass,
      program: of,
      known,
      pipeline: { name: of && isMatched(of) ? of.role : 'other', getBindGroupLayout: () => ({}) },
      entries,
      x: 7,
      y: 1,
      z: 1,
    } as unknown as Dispatch;
  };
  return {
    handler,
    account,
    dispatch,
    log,
    made,
    written,
    encoder,
    pass,
    prepared,
    view,
    sunk,
    prepareSinks,
    layers,
    bound,
  };
}

const STOCK_FIRST = ['stock attend', 'binds q keys present_value seqlens_k sift params', 'dispatches 7'];

describe('StepHandler', () => {
  test('an attention in three programs is replaced whole, or given back in order', () => {
    const whole = setUp();
    for (const each of [SCORES, VALUES, REDUCE])
      expect(whole.handler.dispatch(whole.dispatch(each))).toBe(true);
    expect(whole.log).toEqual(['our attend', 'our combine']);
    // Without a buffer of lengths, every sequence has as many keys as the uniforms say.
    expect(whole.prepared[0]).toMatchObject({ lengthBias: LENGTH, maxLength: LENGTH, firstKey: 0 });
    expect((whole.prepared[0]!.lengths.buffer as unknown as FakeBuffer).label).toBe('zeros');

    const broken = setUp();
    for (const each of [SCORES, VALUES]) broken.handler.dispatch(broken.dispatch(each));
    expect(broken.handler.dispatch(broken.dispatch(undefined))).toBe(false);
    expect(broken.log.filter((line) => line.startsWith('stock'))).toEqual(['stock scores', 'stock values']);
  });

  test('where the mask hides no key their number is told without the buffer of the runtime, which changes at every step', () => {
    const lengths = (mask: readonly bigint[]) => {
      const { handler, dispatch, prepared } = setUp({ mask });
      for (const each of [ATTEND, REDUCE]) handler.dispatch(dispatch(each));
      const { lengths, lengthBias } = prepared[0]!;
      return [(lengths.buffer as unknown as FakeBuffer).label, lengthBias];
    };
    const all = new Array<bigint>(LENGTH).fill(1n);
    expect(lengths(all)).toEqual(['zeros', LENGTH]);
    expect(lengths([0n, ...all.slice(1)])).toEqual(['seqlens_k', 1]);
  });

  test('the keys of a window are those from its first on', () => {
    const { handler, dispatch, view, prepared } = setUp();
    const attend = {
      ...ATTEND,
      uniforms: {
        ...ATTEND.uniforms,
        local_window_size: { offset: 4 * Object.keys(UNIFORMS).length, type: 'u32' },
      },
    };
    view.setUint32(4 * Object.keys(UNIFORMS).length, 16, true);
    expect(handler.dispatch(dispatch(attend))).toBe(true);
    expect(handler.dispatch(dispatch(REDUCE))).toBe(true);
    const unproved = setUp({ windows: false });
    unproved.view.setUint32(4 * Object.keys(UNIFORMS).length, 16, true);
    expect(unproved.handler.dispatch(unproved.dispatch(attend))).toBe(false);
    expect([...unproved.account.reasons].join()).toContain('not proved');
    expect(prepared[0]).toMatchObject({
      firstKey: LENGTH - 16,
      maxLength: 16,
      lengthBias: 1 - (LENGTH - 16),
    });
  });

  test('both programs are replaced', () => {
    const { handler, account, dispatch, log } = setUp();
    expect(handler.dispatch(dispatch(ATTEND))).toBe(true);
    expect(handler.dispatch(dispatch(REDUCE))).toBe(true);
    expect(log).toEqual(['our attend', 'our combine']);
    expect([...account.attended]).toEqual([[0, LENGTH]]);
    expect(account.reasons.size).toBe(0);
  });

  test('layers with and without attention sinks each get kernels of their own', () => {
    const { handler, account, dispatch, log, prepared, sunk, prepareSinks, layers } = setUp();
    prepareSinks();
    // The fake keys are those of one layer, so that the second attention counts as one that shares them.
    layers.set(attentionKey(0, 1), {} as LayerState);
    for (const each of [ATTEND, SINKS, ATTEND, REDUCE]) expect(handler.dispatch(dispatch(each))).toBe(true);
    expect(log).toEqual(['our combine with sinks', 'our attend', 'our combine']);
    expect(sunk.map(({ sinks }) => (sinks!.buffer as unknown as FakeBuffer).label)).toEqual(['head_sink']);
    expect(prepared.length).toBe(2);
    expect([...account.attended]).toEqual([
      [0, LENGTH],
      [attentionKey(0, 1), LENGTH],
    ]);
    expect(account.reasons.size).toBe(0);
  });

  test("sinks in a buffer that is too small, or not seen, are the runtime's", () => {
    for (const wrong of ['small', 'missing']) {
      const { handler, account, dispatch, log, prepareSinks } = setUp();
      prepareSinks();
      handler.dispatch(dispatch(ATTEND));
      const reduce = dispatch(SINKS);
      const at = SINKS.bindings.head_sink!;
      const entries = reduce.entries as GPUBindGroupEntry[];
      if (wrong === 'missing') entries.splice(at, 1);
      else
        entries[at] = {
          binding: at,
          resource: { buffer: new FakeBuffer('sinks', 12) as unknown as GPUBuffer },
        };
      expect(handler.dispatch(reduce)).toBe(false);
      expect(log).toEqual(STOCK_FIRST);
      expect([...account.reasons].join()).toContain(wrong === 'small' ? 'smaller than expected' : 'not seen');
    }
  });

  test.each<[string, Program | undefined, string]>([
    ['a reduction that is not understood', REJECTED, 'unknown binding'],
    [
      'sinks, for which no kernels were prepared',
      SINKS,
      'no kernel was prepared for 4/2 heads of 32, f32, with sinks',
    ],
    ['a program with an unknown label', undefined, 'an unknown program'],
    ['another attention', ATTEND, 'unknown order'],
  ])(
    'followed by %s, the first program is encoded after all, with the uniforms it had',
    (_, next, reason) => {
      const { handler, account, dispatch, log, made, written, view } = setUp();
      expect(handler.dispatch(dispatch(ATTEND))).toBe(true);
      const replaced = handler.dispatch(dispatch(next));
      expect(log).toEqual(STOCK_FIRST);
      expect(replaced).toBe(false);
      expect(account.attended.size).toBe(0);
      expect([...account.reasons].join()).toContain(reason);
      // A buffer that is made here might be refused, and the runtime's commands with it.
      expect(made).toEqual([]);
      expect(written).toEqual([new Uint8Array(view.buffer)]);
    },
  );

  test('the same before a dispatch that cannot be routed, and where ours cannot be finished', () => {
    const indirect = setUp();
    indirect.handler.dispatch(indirect.dispatch(ATTEND));
    indirect.handler.passed(indirect.pass);
    expect(indirect.log).toEqual(STOCK_FIRST);
    expect(indirect.handler.dispatch(indirect.dispatch(REDUCE))).toBe(false);

    const failing = setUp();
    failing.encoder.combine = () => {
      throw new Error('no more bind groups');
    };
    failing.handler.dispatch(failing.dispatch(ATTEND));
    expect(failing.handler.dispatch(failing.dispatch(REDUCE))).toBe(false);
    expect(failing.log).toEqual(['our attend', ...STOCK_FIRST]);
    expect([...failing.account.reasons]).toEqual(['encoding failed: no more bind groups']);
    expect(failing.account.attended.size).toBe(0);
  });

  test('an attention that is dispatched indirectly is left alone, with the reason', () => {
    const { handler, account, pass, log } = setUp();
    handler.passed(pass, REDUCE);
    expect(account.reasons.size).toBe(0);
    handler.passed(pass, ATTEND);
    handler.passed(pass, { role: 'scores', reason: 'the KV cache is quantised' });
    expect([...account.reasons]).toEqual([
      'the runtime dispatches its attention indirectly, as it does for graph capture',
      'the KV cache is quantised',
    ]);
    expect(log).toEqual([]);
  });

  test('what is encoded after all has its uniforms where they were', () => {
    const { handler, dispatch, view, bound } = setUp();
    const attend = dispatch(ATTEND);
    Object.assign(attend.entries.at(-1)!.resource, { offset: 0, size: view.byteLength });
    handler.dispatch(attend);
    handler.dispatch(dispatch(undefined));
    expect(bound.at(-1)).toMatchObject({ offset: 256, size: view.byteLength });
  });

  test('an attention over another length than the step has is left alone', () => {
    const { handler, dispatch, account, log } = setUp();
    Object.assign(account, { length: LENGTH + 1 });
    expect(handler.dispatch(dispatch(ATTEND))).toBe(false);
    expect(log).toEqual([]);
    expect([...account.reasons].join()).toContain(`over ${LENGTH} keys`);
  });
});
