// The plugin on programs of ours that have the interface of onnxruntime's next build: windows as a uniform, sinks, graph capture and
// quantised caches (src/testing/onnxruntime says what they stand for).
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outputError } from '../../kernel/proof/test-cases.ts';
import type { DType } from '../../kernel/shape.ts';
import { denseAttention } from '../../oracle/index.ts';
import { presetPolicy, uniformPolicy } from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import { type DecoderOptions, type DecodeStep, StandInDecoder } from '../../testing/onnxruntime/decoder.ts';
import { Routing } from '../../testing/onnxruntime/routing.ts';
import { STOCK_BOUND } from '../shared/stock-comparison.ts';
import { TRIAL_LENGTH } from './trial.ts';

const HEADS = { queryHeads: 8, kvHeads: 2, headSize: 32 } as const;
const LAYERS = 2;
const CAPACITY = 1152;
const LENGTHS = [150, 1100];
const EXACT = presetPolicy('exact');
/** Sifts, and keeps all rows that could change the output by more than rounding. */
const KEEPS_NEARLY_ALL = uniformPolicy({ c: 1e-4 });

let device: GPUDevice;
let routing: Routing;
const types: DType[] = ['f32'];
beforeAll(async () => {
  device = await testDevice();
  if (device.features.has('shader-f16')) types.push('f16');
  routing = await Routing.create(device, KEEPS_NEARLY_ALL);
});
afterAll(() => {
  routing.destroy();
  device.destroy();
});

async function withDecoder(
  options: Partial<DecoderOptions>,
  dtype: DType,
  work: (decoder: StandInDecoder) => Promise<void>,
): Promise<void> {
  const decoder = await StandInDecoder.create(device, {
    shape: { ...HEADS, dtype },
    layers: LAYERS,
    capacity: CAPACITY,
    seed: 11,
    form: 'two',
    ...options,
  });
  try {
    await work(decoder);
  } finally {
    decoder.destroy();
  }
}

/** The attention of a layer in f64. */
const expected = (decoder: StandInDecoder, layer: number, step: DecodeStep): Float64Array =>
  denseAttention(decoder.inputsOf(layer, step)).output;

/** The largest error of a step's outputs. */
function errorOf(decoder: StandInDecoder, outputs: Float32Array[], step: DecodeStep): number {
  const { shape } = decoder.options;
  return Math.max(...outputs.map((got, layer) => outputError(got, expected(decoder, layer, step), shape)));
}

/** Ours and the stand-in's are right, and ours was there. */
async function expectServed(decoder: StandInDecoder, step: DecodeStep): Promise<void> {
  const bound = STOCK_BOUND[decoder.options.shape.dtype];
  expect(errorOf(decoder, await decoder.outputs(step), step)).toBeLessThan(bound);
  for (const policy of [EXACT, KEEPS_NEARLY_ALL]) {
    const { outputs, account } = await routing.route(decoder, step, policy);
    expect([...account.reasons]).toEqual([]);
    expect(account.attended.size).toBe(LAYERS);
    expect(errorOf(decoder, outputs, step)).toBeLessThan(bound);
  }
}

describe('the stand-ins of onnxruntime', () => {
  test.each(LENGTHS)('two programs, with every kind of window over %i keys', async (length) => {
    for (const dtype of types) {
      await withDecoder({ window: true }, dtype, async (decoder) => {
        for (const window of [0, 64, length - 1, length, 1024])
          await expectServed(decoder, { length, window });
        // A window of one key: the output is the row of V.
        await expectServed(decoder, { length, window: 1 });
      });
    }
  });

  test.each(LENGTHS)(
    'two programs without lengths in a buffer, and three programs, over %i keys',
    async (length) => {
      for (const dtype of types) {
        await withDecoder({ seqlens: false }, dtype, (decoder) => expectServed(decoder, { length }));
        await withDecoder({ form: 'three' }, dtype, (decoder) => expectServed(decoder, { length }));
      }
    },
  );

  test('the observer sees every layer, and the comparison finds none that differs', async () => {
    for (const form of ['two', 'three'] as const) {
      await withDecoder({ form, window: form === 'two' }, 'f32', async (decoder) => {
        for (const window of form === 'two' ? [0, 20] : [0]) {
          const step = { length: TRIAL_LENGTH, window };
          const { layers, reasons, windows } = await routing.observe(decoder, step);
          expect(windows).toBe(form === 'two');
          expect([...reasons]).toEqual([]);
          expect([...layers.keys()]).toEqual([0, 1]);
          const compared = await routing.compare(decoder, step);
          expect(compared.fault).toBeUndefined();
          expect([...compared.layers]).toEqual([0, 1]);
          // A window is proved where there is one, and what the runtime puts out is as if nobody had looked.
          if (form === 'two') expect(compared.windowFault).toBeUndefined();
          else expect(compared.windowFault).toContain('not every layer');
          expect(compared.outputs).toEqual(await decoder.outputs(step));
        }
      });
    }
  });

  test('a window that was not proved is left to the runtime', async () => {
    await withDecoder({ window: true }, 'f32', async (decoder) => {
      const step = { length: 150, window: 64 };
      const { outputs, account } = await routing.route(decoder, step, EXACT, false);
      expect([...account.reasons]).toEqual(['ours was not proved to be the same over a sliding window']);
      expect(outputs).toEqual(await decoder.outputs(step));
      const all = await routing.route(decoder, { length: 150, window: 150 }, EXACT, false);
      expect(all.account.attended.size).toBe(LAYERS);
    });
  });

  test('attention sinks: ours has them in its output', async () => {
    await withDecoder({ sinks: true, window: true }, 'f32', async (decoder) => {
      for (const window of [0, 64]) {
        const step = { length: 150, window };
        expect(errorOf(decoder, await decoder.outputs(step), step)).toBeLessThan(STOCK_BOUND.f32);
        const { outputs, account } = await routing.route(decoder, step, EXACT);
        expect(errorOf(decoder, outputs, step)).toBeLessThan(STOCK_BOUND.f32);
        expect(account.attended.size).toBe(LAYERS);
      }
    });
  });

  const CAPTURED = 'the runtime reads the length from a buffer, as it does for graph capture';
  test.each<[string, Partial<DecoderOptions>, string]>([
    ['a length in a buffer', { captured: true }, CAPTURED],
    ['graph capture', { captured: true, indirect: true }, CAPTURED],
    [
      'indirect dispatches',
      { indirect: true },
      'the runtime dispatches its attention indirectly, as it does for graph capture',
    ],
    ['a quantised cache', { quantised: true }, 'the KV cache is quantised'],
  ])('%s is left to the runtime', async (_, options, reason) => {
    await withDecoder({ window: true, ...options }, 'f32', async (decoder) => {
      const step = { length: 150, window: 64 };
      const stock = await decoder.outputs(step);
      // Quantised to eight bits, it is right to about a hundredth.
      const bound = options.quantised ? 0.05 : STOCK_BOUND.f32;
      expect(errorOf(decoder, stock, step)).toBeLessThan(bound);
      const { outputs, account } = await routing.route(decoder, step, EXACT);
      expect(account.attended.size).toBe(0);
      expect([...account.reasons]).toEqual([reason]);
      expect(outputs).toEqual(stock);
      const observer = await routing.observe(decoder, step);
      expect(observer.layers.size).toBe(0);
      expect([...observer.reasons]).toEqual([reason]);
    });
  });
});
