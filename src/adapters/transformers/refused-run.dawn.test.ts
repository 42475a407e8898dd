// A runtime that refuses a run on a shared cache in the middle of a generation: the step is made again on its own cache.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  expectHarmless,
  faultyRun,
  generating,
  type StockRun,
  sharedDevice,
} from '../../testing/faults/faulty-run.ts';

const EXACT = { quality: 'exact' } as const;

let device: GPUDevice;
let stock: StockRun;
beforeAll(async () => {
  ({ device, stock } = await sharedDevice());
}, 600_000);

/** Keys of the prompt, of a decode step, of the second turn's prompt, which outgrows the cache, and of a decode step after it. */
const LENGTHS = [40, 42, 69, 71];

describe.each(['before', 'during', 'after'] as const)('refused %s its rows are written', (when) => {
  test.each(LENGTHS)(
    'at %i keys, and from then on: the tokens are right, and the report says why',
    async (length) => {
      const outcome = await faultyRun(device, {}, EXACT, (session) => {
        session[when] = generating((run) => {
          if (run.shared && run.length >= length) throw new Error('refused by the test');
        });
      });
      expectHarmless(outcome, stock);
      const { report } = outcome;
      expect(report!.cache.reasons.map(({ reason }) => reason).join()).toContain('refused by the test');
      // The step that was made again is the runtime's; those after it are ours again, on its cache.
      const decoded = LENGTHS.indexOf(length) % 2;
      expect(report!.stockSteps).toBe(length > 44 ? decoded : 0);
      expect(report!.steps.dense).toBe(4 - report!.stockSteps);
    },
  );
});

test("an error that has nothing to do with the cache is the generation's, and the cache stays shared", async () => {
  const error = new Error('by order of the test');
  const outcome = await faultyRun(device, {}, EXACT, (session) => {
    session.before = generating((run) => {
      if (run.length === 42) throw error;
    });
  });
  expect(outcome.tokens).toBe(error);
  // The library leaves the past of a generation that has failed to the garbage collector.
  expect(outcome.uncaptured).toEqual([]);
  expect(outcome.report!.cache.reasons).toEqual([]);
});
