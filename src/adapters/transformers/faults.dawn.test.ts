// What of ours a device may refuse is refused, one call at a time, under a real generate of transformers.js on a session of ours. The
// nightly command has every call (faults.trust.ts); here it is one in a few.
import { beforeAll, describe, expect, test } from 'vitest';
import type { SiftError } from '../../errors.ts';
import {
  expectHarmless,
  type FaultyOutcome,
  faultyRun,
  type StockRun,
  sharedDevice,
} from '../../testing/faults/faulty-run.ts';

/** Calls from one that is tried to the next; it has no factor in common with the calls of one purpose. */
const EVERY = 11;

let device: GPUDevice;
let stock: StockRun;
let whole: FaultyOutcome;
beforeAll(async () => {
  ({ device, stock } = await sharedDevice());
  whole = await faultyRun(device, {});
}, 600_000);

test('without a fault sift is on, and every step goes through our kernels', () => {
  expectHarmless(whole, stock);
  expect(whole.refused).toBeUndefined();
  expect(whole.report!.steps).toEqual({ sifted: 4, dense: 0 });
  expect(whole.report!.cache).toMatchObject({ kind: 'shared', grown: 1 });
  expect(whole.report!.policy.keys).toBe('shadow');
});

describe('no memory', () => {
  test('for one buffer: nothing is spoilt, whichever it is', async () => {
    for (let n = 0; n < whole.counts.buffer; n += EVERY) {
      const outcome = await faultyRun(device, { buffer: (i) => i === n });
      expect(outcome.failed).toHaveLength(1);
      expectHarmless(outcome, stock);
    }
  });

  test("from a buffer of the generation on: the shadow is left out, then the layers are the runtime's", async () => {
    const first = whole.enabling.buffer;
    const shadow = await faultyRun(device, { buffer: (_, label) => label === 'sift shadow' });
    expectHarmless(shadow, stock);
    expect(shadow.report!.policy.keys).toBe('exact');
    expect(shadow.report!.reasons.map(({ reason }) => reason).join()).toContain('all of K is read');
    const states = await faultyRun(device, { buffer: (i, label) => i >= first && !label.includes('past') });
    expectHarmless(states, stock);
    expect(states.report!.steps).toEqual({ sifted: 0, dense: 0 });
    expect(states.report!.stockSteps).toBe(4);
  });

  test('for a larger cache: the runtime has its own; for no other either: the generation says so', async () => {
    // Each turn of the conversation makes a cache of four buffers: this counts them from the first turn on.
    const growth = () => {
      let caches = 0;
      return (i: number, label: string) => {
        if (i >= whole.enabling.buffer && label.includes('past')) caches++;
        return caches > 4 && caches;
      };
    };
    const first = growth();
    const large = await faultyRun(device, { buffer: (...call) => first(...call) === 5 });
    expectHarmless(large, stock);
    expect(large.report!.cache).toMatchObject({ kind: 'shared', grown: 0, reasons: [{ count: 1 }] });
    const all = growth();
    const none = await faultyRun(device, { buffer: (...call) => all(...call) !== false });
    expect((none.tokens as unknown as SiftError).code).toBe('OUT_OF_MEMORY');
    expect(none.uncaptured).toEqual([]);
  });
});

describe('a buffer that cannot be mapped', () => {
  test('once: it is tried again, and nobody notices', async () => {
    for (let n = 0; n < whole.counts.map; n += 4) {
      const outcome = await faultyRun(device, { map: (i) => i === n });
      expectHarmless(outcome, stock);
      expect(outcome.refused).toBeUndefined();
      expect(outcome.report!.layers).toHaveLength(2);
    }
  });

  test('twice: without the shadow, or not at all, or without figures in the report', async () => {
    for (let n = 1; n < whole.counts.map; n += 5) {
      const outcome = await faultyRun(device, { map: (i) => i === n || i === n + 1 });
      expectHarmless(outcome, stock);
    }
    const report = await faultyRun(device, { map: (i) => i >= whole.enabling.map });
    expect(report.report!.layers).toEqual([]);
    expect(report.report!.reasons.map(({ reason }) => reason).join()).toContain('could not be read');
  });
});

test("a device that binds few bytes: the cache is the runtime's where it does not fit", async () => {
  // 64 keys of two heads of 16.
  const most = 64 * 2 * 16 * 4;
  const real = device.limits;
  const limits = new Proxy(real, {
    get: (_, name) => (name === 'maxStorageBufferBindingSize' ? most : Reflect.get(real, name, real)),
  });
  Object.defineProperty(device, 'limits', { value: limits, configurable: true });
  try {
    const outcome = await faultyRun(device, {});
    expectHarmless(outcome, stock);
    expect(outcome.refused).toBeUndefined();
    expect(outcome.report!.steps.sifted).toBe(4);
    const [reason] = outcome.report!.cache.reasons;
    expect(reason!.reason).toContain('keys do not fit');
  } finally {
    Object.defineProperty(device, 'limits', { value: real, configurable: true });
  }
});
