// A device that is lost before, during and after a step, and while sift is being enabled.
import { beforeAll, describe, expect, test } from 'vitest';
import type { SiftError } from '../../errors.ts';
import { testDevice } from '../../testing/device.ts';
import {
  expectHarmless,
  faultyRun,
  generating,
  loadFaulty,
  loseWhile,
  type StockRun,
  sharedDevice,
} from '../../testing/faults/faulty-run.ts';

const EXACT = { quality: 'exact' } as const;

let device: GPUDevice;
let stock: StockRun;
beforeAll(async () => {
  ({ device, stock } = await sharedDevice());
}, 600_000);

test('during a step: the error is the one of the runtime alone, the report says so, and another device serves', async () => {
  const lost = await testDevice();
  const outcome = await faultyRun(lost, {}, EXACT, (session) => {
    session.during = generating((run) => {
      if (run.length === 42) lost.destroy();
    });
  });
  expect(outcome.refused).toBeUndefined();
  const alone = await testDevice();
  const without = loadFaulty(alone);
  without.session.during = generating((run) => {
    if (run.length === 42) alone.destroy();
  });
  const error = await without.generate(stock.prompt, 5).catch((error: unknown) => error as Error);
  expect(outcome.tokens).toBeInstanceOf(Error);
  expect(String(outcome.tokens)).toBe(String(error));
  expect(outcome.report!.lost).toBe((await lost.lost).message);
  expect(outcome.report!.enabled).toBe(false);
  expect(outcome.report!.cache.reasons).toEqual([]);
  expect(outcome.afterwards?.code).toBe('DEVICE_LOST');

  const fresh = await faultyRun(device, {}, EXACT);
  expect(fresh.refused).toBeUndefined();
  expectHarmless(fresh, stock);
});

describe('while sift is being enabled', () => {
  test.each(['observing', 'compiling'] as const)('%s', async (stage) => {
    const error = await loseWhile(await testDevice(), stage);
    expect((error as SiftError).code).toBe('DEVICE_LOST');
  });
});
