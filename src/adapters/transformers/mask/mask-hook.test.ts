import { describe, expect, test } from 'vitest';
import { type Fed, int64, libraryModel, rowsOf } from '../../../testing/transformers/library-model.ts';
import type { HubModel, HubTensor, ModelInputs } from '../runtime.ts';
import type { Tensors } from '../session-hook.ts';
import { MaskHook } from './mask-hook.ts';
import { UPDATE } from './update-function.ts';

/** Left padding of several widths. */
const PADDED = [
  [0, 0, 1, 1, 1],
  [1, 1, 1, 1, 1],
  [0, 0, 0, 0, 1],
];
const SINGLE = [[1, 1, 1, 1]];

const always = () => true;

/** One step of a caller's own: the inputs of the next one. */
function step(model: HubModel, attention_mask: HubTensor | undefined, more: object = {}): ModelInputs {
  const batch = attention_mask?.dims[0] ?? 1;
  return model[UPDATE]({
    generated_input_ids: Array.from({ length: batch }, () => [7n]),
    outputs: {},
    model_inputs: { attention_mask: attention_mask!, ...more },
    is_encoder_decoder: false,
  });
}

/** What steps were given, without the objects themselves. */
const values = (fed: Fed[]) => fed.map(({ mask, maskDims, positions }) => ({ mask, maskDims, positions }));

/** A model of the library with its masks kept, which can be turned off. */
function kept(options: { positions?: boolean; type?: string } = {}) {
  const state = { on: true };
  let hook: MaskHook | undefined;
  const library = libraryModel({ ...options, observe: (feeds: Tensors) => state.on && hook?.observe(feeds) });
  hook = new MaskHook(library.model, () => state.on);
  return { ...library, hook, state };
}

describe('generations', () => {
  for (const [name, rows] of [
    ['a single prompt', SINGLE],
    ['prompts of several lengths', PADDED],
    ['a prompt with a hole', [[1, 0, 1, 1]]],
  ] as const)
    for (const positions of [false, true])
      for (const type of ['llama', 'gemma3_text'])
        test(`${name} ${positions ? 'with' : 'without'} positions, ${type}: every step gets what it gets from the library`, async () => {
          const stock = await libraryModel({ positions, type }).generate(rows, 12);
          const library = kept({ positions, type });
          expect(library.hook.unknown).toBeUndefined();
          const ours = await library.generate(rows, 12);
          expect(values(ours)).toEqual(values(stock));
          expect(ours).toHaveLength(12);
          // Again, as a new prompt.
          expect(values(await library.generate(rows, 12))).toEqual(values(stock));
        });

  test('the masks of a single prompt are views of one array, also where it has grown', async () => {
    const ours = await kept().generate([Array(1020).fill(1)], 40);
    const buffers = new Set(ours.slice(1).map(({ feeds }) => feeds.attention_mask!.data.buffer));
    expect(buffers.size).toBe(1);
    const model = kept().model;
    let mask = int64([Array(1000).fill(1)]);
    const seen = new Set<ArrayBufferLike>();
    for (let i = 0; i < 4000; i++) {
      mask = step(model, mask).attention_mask!;
      seen.add(mask.ort_tensor.data.buffer);
    }
    expect(rowsOf(mask)).toEqual([Array(5000).fill(1n)]);
    expect(seen.size).toBeLessThan(4);
  });

  test('the library makes the positions of the first step, and they are made from the mask from then on', async () => {
    const library = kept({ positions: true });
    const handed: unknown[] = [];
    const base = library.model[UPDATE];
    library.model[UPDATE] = (state) => {
      const updated = base(state);
      handed.push(updated.position_ids && rowsOf(updated.position_ids));
      return updated;
    };
    await library.generate(PADDED, 5);
    expect(handed).toEqual([null, [[4n], [6n], [2n]], [[5n], [7n], [3n]], [[6n], [8n], [4n]]]);
  });

  test("positions that follow no rule that is known stay the library's", async () => {
    const positionsOf = (delta: number) => (mask: HubTensor) => ({
      attention_mask: mask.ort_tensor,
      position_ids: int64(mask.dims[0] === 1 ? [[delta]] : [[delta], [delta]]).ort_tensor,
    });
    const at = (rows: number[][], feeds: (mask: HubTensor) => object) => {
      const { model, hook } = kept({ positions: true });
      const { attention_mask: mask } = step(model, int64(rows));
      hook.observe(feeds(mask!) as Tensors);
      return step(model, mask).position_ids;
    };
    expect(rowsOf(at([[1, 1]], positionsOf(2)))).toEqual([[3n]]);
    expect(rowsOf(at([[1, 1]], positionsOf(3)))).toEqual([[4n]]);
    expect(at([[1, 1]], positionsOf(9))).toBeNull();
    // The rows differ in their start.
    expect(
      at(
        [
          [0, 1],
          [1, 1],
        ],
        positionsOf(2),
      ),
    ).toBeNull();
    expect(at([[1, 2]], positionsOf(3))).toBeNull();
    expect(at([[2 ** 32 + 1, 1]], positionsOf(2))).toBeNull();
    // Three positions for each token, as models with images have them.
    const three = (mask: HubTensor) => ({
      attention_mask: mask.ort_tensor,
      position_ids: int64([[2, 2, 2]]).ort_tensor,
    });
    expect(at([[1, 1]], three)).toBeNull();
    // The session got another mask than ours.
    const other = () => ({
      attention_mask: int64([[1, 1, 1]]).ort_tensor,
      position_ids: int64([[2]]).ort_tensor,
    });
    expect(at([[1, 1]], other)).toBeNull();
  });

  test('positions stay the library’s where others stand between the update and the session', () => {
    for (const name of ['forward', 'prepare_inputs_for_generation'] as const) {
      const { model, hook } = kept({ positions: true });
      const { attention_mask: mask } = step(model, int64(SINGLE));
      hook.observe({ attention_mask: mask!.ort_tensor, position_ids: int64([[4]]).ort_tensor });
      const original = model[name] as (...args: unknown[]) => unknown;
      Object.assign(model, { [name]: (...args: unknown[]) => original.apply(model, args) });
      const next = step(model, mask);
      expect(next.position_ids).toBeNull();
      delete model[name];
      expect(rowsOf(step(model, next.attention_mask).position_ids)).toEqual([[6n]]);
    }
  });
});

describe('masks that others hold', () => {
  for (const rows of [[[1, 0, 1]], PADDED]) {
    test(`keep their values, and can be continued more than once: ${rows.length} sequences`, () => {
      const { model } = kept();
      const own = int64(rows);
      const grown = (ones: number) => rows.map((row) => [...row, ...Array(ones).fill(1)].map(BigInt));
      const first = step(model, own).attention_mask!;
      const second = step(model, first).attention_mask!;
      const again = step(model, first).attention_mask!;
      const third = step(model, second).attention_mask!;
      const other = step(model, own).attention_mask!;
      again.ort_tensor.data.fill(9n as never);
      other.ort_tensor.data.fill(9n as never);
      expect([own, first, second, third].map(rowsOf)).toEqual([0, 1, 2, 3].map(grown));
    });

    test(`count as they are when they are continued: ${rows.length} sequences`, () => {
      const { model } = kept();
      let mask = step(model, int64(rows)).attention_mask!;
      mask = step(model, mask).attention_mask!;
      (mask.ort_tensor.data as BigInt64Array)[1] = 5n;
      const expected = rowsOf(mask).map((row) => [...row, 1n]);
      expect(rowsOf(step(model, mask).attention_mask)).toEqual(expected);
    });
  }
});

describe('the update function', () => {
  test('is called as it is for masks that are not plain, and for encoder-decoders', () => {
    const { model } = kept();
    const plainest = libraryModel().model;
    const floats = (int64([[1, 1]]) as unknown as { to(type: string): HubTensor }).to('float32');
    // The library cannot append to them.
    for (const either of [model, plainest]) expect(() => step(either, floats)).toThrow('BigInt');
    const deep = (int64([[1, 1]]) as unknown as { unsqueeze(axis: number): HubTensor }).unsqueeze(2);
    expect(step(model, deep).attention_mask!.dims).toEqual(step(plainest, deep).attention_mask!.dims);
    expect(() => step(model, undefined)).toThrow(TypeError);
    const decoder_attention_mask = int64([[1]]);
    const inputs = { decoder_attention_mask, attention_mask: int64([[1]]) };
    const state = {
      generated_input_ids: [[3n]],
      outputs: {},
      model_inputs: inputs,
      is_encoder_decoder: true,
    };
    const updated = model[UPDATE](state) as ModelInputs & typeof inputs;
    expect(updated.attention_mask).toBe(inputs.attention_mask);
    expect(rowsOf(updated.decoder_attention_mask)).toEqual([[1n, 1n]]);
  });

  test('gets the outputs, and leaves the mask where it was if it throws', () => {
    const { model } = kept();
    const key = int64([[1]]);
    const attention_mask = int64([[1]]);
    const state = {
      generated_input_ids: [[3n]],
      model_inputs: { attention_mask },
      is_encoder_decoder: false,
    };
    const updated = model[UPDATE]({ ...state, outputs: { 'present.0.key': key } });
    expect(updated.past_key_values).toMatchObject({ 'past_key_values.0.key': key });
    const model_inputs = { attention_mask };
    expect(() => model[UPDATE]({ ...state, model_inputs, outputs: { 'present.0.key': 5 } })).toThrow();
    expect(model_inputs.attention_mask).toBe(attention_mask);
  });

  test('is stock while sift is off, and taken away at the end', async () => {
    const { model, hook, state } = kept();
    const mask = step(model, int64(SINGLE)).attention_mask!;
    state.on = false;
    const off = step(model, mask).attention_mask!;
    expect(rowsOf(off)).toEqual([[1n, 1n, 1n, 1n, 1n, 1n]]);
    expect(off.ort_tensor.data.buffer.byteLength).toBe(48);
    state.on = true;
    expect(step(model, mask).attention_mask!.ort_tensor.data.buffer.byteLength).toBeGreaterThan(48);
    const wrapped = model[UPDATE];
    hook.remove();
    expect(Object.hasOwn(model, UPDATE)).toBe(false);
    // Whoever kept it gets the library's.
    const state2 = { generated_input_ids: [[3n]], outputs: {}, is_encoder_decoder: false };
    const after = wrapped.call(model, { ...state2, model_inputs: { attention_mask: int64([[1]]) } });
    expect(after.attention_mask!.ort_tensor.data.buffer.byteLength).toBe(16);
  });

  test('one of another library that came later stays in place', () => {
    const { model, hook } = kept();
    const ours = model[UPDATE];
    const foreign: typeof ours = (state) => ours.call(model, state);
    model[UPDATE] = foreign;
    hook.remove();
    expect(model[UPDATE]).toBe(foreign);
    expect(step(model, int64([[1]])).attention_mask!.ort_tensor.data.buffer.byteLength).toBe(16);
  });
});

describe('functions that are not the known one', () => {
  type Update = HubModel[typeof UPDATE];
  /** A model whose library has another update function. */
  function other(make: (original: Update) => Update): HubModel {
    const { model } = libraryModel();
    const original = Object.getPrototypeOf(Object.getPrototypeOf(Object.getPrototypeOf(model)))[UPDATE];
    const library = { [UPDATE]: make(original), generate: async () => {}, forward: async () => ({}) };
    return Object.setPrototypeOf({ sessions: {}, config: {} }, library);
  }
  const tried = (make: (original: Update) => Update) => new MaskHook(other(make), always).unknown;

  test('are told by what they do', () => {
    expect(tried((original) => original)).toBeUndefined();
    const changed = (change: (updated: ModelInputs) => object | undefined) =>
      tried((original) => (state) => {
        const updated = original(state);
        if (state.is_encoder_decoder) return updated;
        return (change(updated) ?? updated) as ReturnType<Update>;
      });
    const unknown = expect.stringContaining('not known');
    expect(changed(() => undefined)).toBeUndefined();
    expect(changed((updated) => ({ ...updated }))).toEqual(unknown);
    expect(changed((updated) => Object.assign(updated, { position_ids: int64([[1]]) }))).toEqual(unknown);
    expect(changed((updated) => Object.assign(updated, { position_ids: undefined }))).toEqual(unknown);
    expect(changed((updated) => Object.assign(updated, { token_type_ids: null }))).toEqual(unknown);
    expect(changed((updated) => Object.assign(updated, { input_ids: int64([[1]]) }))).toEqual(unknown);
    expect(changed((updated) => void updated.attention_mask!.ort_tensor.data.fill(0n as never))).toEqual(
      unknown,
    );
    expect(changed((updated) => Object.assign(updated, { attention_mask: int64([[0, 1]]) }))).toEqual(
      unknown,
    );
  });

  test('are not called if they are not those of the base class', () => {
    const throwing = () => {
      throw new Error('called');
    };
    const { model } = libraryModel();
    model[UPDATE] = throwing;
    expect(new MaskHook(model, always).unknown).toContain('of its own');
    expect(model[UPDATE]).toBe(throwing);
    const { model: subclassed } = libraryModel();
    const between = Object.create(Object.getPrototypeOf(subclassed), { [UPDATE]: { value: throwing } });
    Object.setPrototypeOf(subclassed, between);
    expect(new MaskHook(subclassed, always).unknown).toContain('of its own');
    expect(new MaskHook({} as HubModel, always).unknown).toContain('of its own');
  });

  test('that throw leave the model as it was', () => {
    const model = other(() => () => {
      throw new Error('no such thing');
    });
    const hook = new MaskHook(model, always);
    expect(hook.unknown).toContain('no such thing');
    expect(Object.hasOwn(model, UPDATE)).toBe(false);
    hook.observe({});
    hook.remove();
  });

  test('that do something else later are left alone from then on, and the step is theirs', () => {
    let later = false;
    let calls = 0;
    const outputs: object[] = [];
    const model = other((original) => (state) => {
      calls++;
      outputs.push(state.outputs);
      const updated = original(state);
      if (later) updated.attention_mask = int64(rowsOf(updated.attention_mask).map((row) => [...row, 0n]));
      return updated;
    });
    new MaskHook(model, always);
    later = true;
    calls = 0;
    const first = step(model, int64([[1, 0]])).attention_mask;
    expect(rowsOf(first)).toEqual([[1n, 0n, 1n, 0n]]);
    expect(calls).toBe(2);
    expect(outputs.at(-1)).toEqual({});
    expect(rowsOf(step(model, first).attention_mask)).toEqual([[1n, 0n, 1n, 0n, 1n, 0n]]);
    expect(calls).toBe(3);
  });

  test('a value that they put behind the mask is taken over', () => {
    let value = 1n;
    const behind = other((original) => (state) => {
      const updated = original(state);
      const data = updated.attention_mask?.ort_tensor.data as BigInt64Array | undefined;
      if (data) data[data.length - 1] = value;
      return updated;
    });
    expect(new MaskHook(behind, always).unknown).toBeUndefined();
    value = 0n;
    expect(rowsOf(step(behind, int64([[1, 1]])).attention_mask)).toEqual([[1n, 1n, 0n]]);
  });
});
