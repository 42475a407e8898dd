// Every fault at every call of ours, for the nightly command; faults.test.ts says what is tried and has one in a few.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SiftError } from '../../errors.ts';
import { learnedPolicy } from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import {
  expectHarmless,
  type FaultyOutcome,
  faultyRun,
  generating,
  loseWhile,
  stockRun,
} from '../../testing/faults/faulty-run.ts';
import type { GpuSession } from '../../testing/transformers/gpu-session.ts';

let device: GPUDevice;
let stock: Awaited<ReturnType<typeof stockRun>>;
let whole: FaultyOutcome;
beforeAll(async () => {
  device = await testDevice();
  stock = await stockRun(device);
  whole = await faultyRun(device, {});
}, 600_000);
afterAll(() => device.destroy());

describe('no memory', () => {
  test('for the n-th buffer', async () => {
    for (let n = 0; n < whole.counts.buffer; n++)
      expectHarmless(await faultyRun(device, { buffer: (i) => i === n }), stock);
  });

  test('for the n-th buffer and the one that is asked for instead of it', async () => {
    for (let n = 0; n < whole.enabling.buffer; n++)
      expectHarmless(await faultyRun(device, { buffer: (i) => i === n || i === n + 1 }), stock);
  });

  test('from the n-th buffer on: the tokens are right, or the generation says that there is no memory', async () => {
    for (let n = 0; n < whole.counts.buffer; n++) {
      const outcome = await faultyRun(device, { buffer: (i) => i >= n });
      if (!(outcome.tokens instanceof Error)) expectHarmless(outcome, stock);
      else expect([n, outcome.tokens, outcome.uncaptured]).toMatchObject([n, { code: 'OUT_OF_MEMORY' }, []]);
    }
  });
});

test('the n-th buffer cannot be mapped, once and twice', async () => {
  for (let n = 0; n < whole.counts.map; n++) {
    expectHarmless(await faultyRun(device, { map: (i) => i === n }), stock);
    expectHarmless(await faultyRun(device, { map: (i) => i === n || i === n + 1 }), stock);
  }
});

// Pipelines are compiled once on a device, so that each of these has one of its own.
test.each([0, 1, 2, 3, 4, 5, 6, 7])('the compilation number %i is rejected, once and twice', async (n) => {
  for (const times of [1, 2]) {
    const own = await testDevice();
    const outcome = await faultyRun(own, { pipeline: (i) => i >= n && i < n + times });
    expectHarmless(outcome, stock);
    if (times === 1) expect(outcome.refused).toBeUndefined();
    // What was rejected is compiled when it is asked for again.
    const again = await faultyRun(own, {});
    expectHarmless(again, stock);
    expect(again.report!.policy.keys).toBe('shadow');
    own.destroy();
  }
});

test('a step that should have been learned from is made up for', async () => {
  const policy = learnedPolicy({ tau: 0.01, warmup: 3 });
  const outcome = await faultyRun(device, {}, { policy }, (session) => {
    session.after = generating((run) => {
      if (run.shared && run.length === 42) throw new Error('refused by the test');
    });
  });
  expect([outcome.uncaptured, outcome.leaked, outcome.refused]).toEqual([[], [], undefined]);
  // The second turn learns anew, on the runtime's cache.
  expect(outcome.report!.steps.dense).toBe(3);
  expect(outcome.report!.layers.flatMap(({ heads }) => heads.map(({ status }) => status))).toEqual(
    new Array(8).fill('fitted'),
  );
});

describe('a device that is lost', () => {
  const EXACT = { quality: 'exact', siftFrom: 0 } as const;

  test.each(['observing', 'compiling', 'comparing', 'calibrating'] as const)('while %s', async (stage) => {
    const options = stage === 'calibrating' ? ({ quality: 'balanced' } as const) : EXACT;
    expect(await loseWhile(await testDevice(), stage, options)).toMatchObject({ code: 'DEVICE_LOST' });
  });

  test.each(['before', 'during', 'after'] as const)('%s a run, whichever it is', async (when) => {
    let session: GpuSession | undefined;
    await faultyRun(device, {}, EXACT, (made) => {
      session = made;
    });
    const { runs } = session!;
    // Those of enabling come first: of its two trials, and of the shared cache. After the last run nothing is left to fail.
    for (let n = 0; n < runs - 1; n += 2) {
      const own = await testDevice();
      const outcome = await faultyRun(own, {}, EXACT, (made) => {
        made[when] = ({ run }) => {
          if (run === n) own.destroy();
        };
      });
      expect([n, outcome.tokens instanceof Error, outcome.tokens instanceof SiftError]).toEqual([
        n,
        true,
        false,
      ]);
      if (outcome.refused) expect([n, outcome.refused.code]).toEqual([n, 'DEVICE_LOST']);
      else {
        expect([n, outcome.report!.enabled, outcome.afterwards?.code]).toEqual([n, false, 'DEVICE_LOST']);
        expect(outcome.report!.lost).toBe((await own.lost).message);
      }
    }
    expectHarmless(await faultyRun(device, {}, EXACT), stock);
  });
});
