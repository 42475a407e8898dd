// Mutants whose bodies compute something else, which nothing that they bind shows: the comparison with the runtime's own attention must
// find them (src/testing/onnxruntime/mutants). Most others are judged without a GPU, in mutants.test.ts.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outputError } from '../../kernel/proof/test-cases.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import { denseAttention } from '../../oracle/index.ts';
import { testDevice } from '../../testing/device.ts';
import { type DecodeStep, StandInDecoder } from '../../testing/onnxruntime/decoder.ts';
import { type BodyMutant, drawBodyMutants } from '../../testing/onnxruntime/mutants/body.ts';
import { Routing } from '../../testing/onnxruntime/routing.ts';
import { STOCK_BOUND } from '../shared/stock-comparison.ts';
import { TRIAL_LENGTH } from './trial.ts';

/**
 * As many as the time of a pull request allows. Of the first 600 one escapes, seed 842: a program that writes scores beyond the length, so
 * that it spoils the next head's row. That shows only where the length is within a tile of the capacity, which no trial can be sure to be.
 */
const MUTANTS = 120;
const SHAPE: AttentionShape = { queryHeads: 4, kvHeads: 2, headSize: 16, dtype: 'f32' };
const CAPACITY = 160;
/** The first decode step of a trial. */
const TRIAL: DecodeStep = { length: TRIAL_LENGTH, window: 0 };
/** Steps of a conversation: in the trial's length, beyond it, and in a window. */
const LATER: readonly DecodeStep[] = [TRIAL, { length: 150, window: 0 }, { length: 150, window: 70 }];

type Verdict = 'not compiled' | 'refused' | 'proved wrong' | 'right' | 'escaped';

let device: GPUDevice;
let routing: Routing;
beforeAll(async () => {
  device = await testDevice();
  routing = await Routing.create(device);
});
afterAll(() => {
  routing.destroy();
  device.destroy();
});

/** Those of some steps at which the mutant's own attention is wrong. */
async function wrongAt(decoder: StandInDecoder, steps: readonly DecodeStep[]): Promise<DecodeStep[]> {
  const wrong: DecodeStep[] = [];
  for (const step of steps) {
    const [output] = await decoder.outputs(step);
    const { output: right } = denseAttention(decoder.inputsOf(0, step));
    if (outputError(output!, right, SHAPE) > STOCK_BOUND.f32) wrong.push(step);
  }
  return wrong;
}

async function judge({
  options,
  programs,
}: Pick<BodyMutant, 'options' | 'programs'>): Promise<{ verdict: Verdict; wrong: DecodeStep[] }> {
  const given = { ...options, shape: SHAPE, capacity: CAPACITY, layers: 1, seed: 3 };
  const decoder = await StandInDecoder.create(device, { ...given, edit: () => programs }).catch(
    () => undefined,
  );
  if (!decoder) return { verdict: 'not compiled', wrong: [] };
  try {
    const { layers, fault, windowFault } = await routing.compare(decoder, TRIAL);
    if (fault) return { verdict: 'proved wrong', wrong: [] };
    if (layers.size === 0) return { verdict: 'refused', wrong: [] };
    // Where only windows are wrong, only windows are the runtime's.
    const routed = LATER.filter(({ window }) => !window || (options.window && !windowFault));
    const wrong = await wrongAt(decoder, routed);
    if (wrong.length === 0 && options.window && windowFault) return { verdict: 'proved wrong', wrong };
    return { verdict: wrong.length === 0 ? 'right' : 'escaped', wrong };
  } finally {
    decoder.destroy();
  }
}

describe('mutants of the attention', () => {
  test('each is proved wrong by the comparison, or right', async () => {
    const counts = new Map<Verdict, number>();
    const escapes: string[] = [];
    for (const { seed, change, ...mutant } of drawBodyMutants(MUTANTS)) {
      const { verdict, wrong } = await judge(mutant);
      counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
      if (verdict === 'escaped') escapes.push(`seed ${seed}: ${change}: wrong at ${JSON.stringify(wrong)}`);
    }
    console.log([...counts].map(([verdict, count]) => `${count} ${verdict}`).join(', '));
    expect(escapes.join('\n')).toBe('');
    // A comparison that is never made, or that finds nothing, would let everything pass.
    expect(counts.get('proved wrong')).toBeGreaterThan(MUTANTS / 3);
  });
});
