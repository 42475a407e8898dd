// Steps that are inspected where the device refuses something: the tokens are right, and nothing is left behind.
import { beforeAll, expect, test } from 'vitest';
import type { InspectedStep } from '../../inspection.ts';
import { presetPolicy } from '../../policy/index.ts';
import type { FaultPlan } from '../../testing/faults/faulty-device.ts';
import {
  expectHarmless,
  type FaultyOutcome,
  faultyRun,
  generating,
  type StockRun,
  sharedDevice,
} from '../../testing/faults/faulty-run.ts';
import type { Sift } from '../shared/sift.ts';
import { Inspection } from './inspection.ts';
import { INSPECTIONS } from './transformers-sift.ts';

INSPECTIONS.part = { Inspection };

let policies = 0;
/**
 * As the default, but it keeps all rows that could change a token. It has a name of its own, so that the kernels are tested again, and
 * calls have the same numbers in every run.
 */
const options = () => ({
  policy: {
    ...presetPolicy('balanced'),
    target: { kind: 'uniform', c: 1e-4 } as const,
    name: `inspected ${policies++}`,
  },
});

let device: GPUDevice;
let stock: StockRun;
let whole: FaultyOutcome & { told: InspectedStep[] };
beforeAll(async () => {
  ({ device, stock } = await sharedDevice());
  whole = await inspected({});
}, 600_000);

/** A run whose steps are inspected, with faults on the way. */
async function inspected(plan: FaultPlan) {
  const told: InspectedStep[] = [];
  const use = (sift: { inspect(listener: (step: InspectedStep) => void): Promise<unknown> }) =>
    sift.inspect((step) => told.push(step));
  const outcome = await faultyRun(device, plan, options(), undefined, use);
  return { ...outcome, told };
}

test('without a fault steps are told of', () => {
  expectHarmless(whole, stock);
  expect(whole.told.length).toBeGreaterThan(0);
  for (const { layers } of whole.told) {
    expect(layers.map(({ sifted, heads }) => [sifted, heads.length])).toEqual([
      [true, 2],
      [true, 2],
    ]);
    for (const { keys, heads } of layers)
      for (const { rows, bits } of heads) {
        expect(rows).toBeLessThanOrEqual(keys);
        // The newest row is always read.
        expect((bits[(keys - 1) >>> 5]! >>> ((keys - 1) & 31)) & 1).toBe(1);
      }
  }
});

test('no memory for any one buffer of the generation: the tokens are right', async () => {
  for (let n = whole.enabling.buffer; n < whole.counts.buffer; n++) {
    const outcome = await inspected({ buffer: (i) => i === n });
    expectHarmless(outcome, stock);
  }
});

test('no memory for the bits at all: no step is inspected, and the report says why', async () => {
  const outcome = await inspected({ buffer: (_, label) => label === 'sift read bits' });
  expectHarmless(outcome, stock);
  expect(outcome.told).toEqual([]);
  expect(outcome.report!.steps).toEqual(whole.report!.steps);
  expect(outcome.report!.reasons.map(({ reason }) => reason).join()).toContain('the step was not inspected');
});

test('a copy that cannot be mapped: that step is not told of', async () => {
  const outcome = await inspected({ map: (n) => n >= whole.enabling.map });
  expectHarmless(outcome, stock);
  expect(outcome.told).toEqual([]);
});

test('disposed of in the middle of a step that is inspected: the generation goes on, and nothing is left behind', async () => {
  const told: InspectedStep[] = [];
  let sift: Sift | undefined;
  const outcome = await faultyRun(
    device,
    {},
    options(),
    (session) => {
      session.during = generating((run) => {
        if (run.length === 42) sift!.dispose();
      });
    },
    async (enabled) => {
      sift = enabled;
      await enabled.inspect((step) => told.push(step));
    },
  );
  expect(outcome.uncaptured).toEqual([]);
  expect(outcome.leaked).toEqual([]);
  expect(outcome.tokens).toEqual(stock.tokens);
});
