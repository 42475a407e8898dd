import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { uniformPolicy } from '../../policy/index.ts';
import { FakeIndexedDb } from '../../testing/fake-indexed-db.ts';
import type { AttentionEncoder } from '../step/encoder.ts';
import { tuningOf } from '../step/tuning.ts';
import { CONTIGUOUS_KV } from '../text/kv-layout.ts';
import { type Calibration, calibrate } from './calibrate.ts';
import { calibration, calibrationKey } from './calibration-store.ts';
import { sharedValue } from './shared-store.ts';

vi.mock('./calibrate.ts', async (original) => ({ ...(await original<object>()), calibrate: vi.fn() }));
const measure = vi.mocked(calibrate);

const POLICY = uniformPolicy({ c: 1 });
const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 32, dtype: 'f32' } as const;

/** An encoder as every load makes one, on a device of its own. */
function load(architecture = 'made up'): AttentionEncoder {
  const device = {
    adapterInfo: { vendor: 'nobody', architecture, device: '', description: '' },
  } as GPUDevice;
  const tuning = tuningOf({ ...device, limits: {}, features: new Set() } as unknown as GPUDevice);
  const variant = { subgroupSize: 0, halfScreen: false, packedDot: false, kv: CONTIGUOUS_KV, tuning };
  return { resources: { device }, shape: SHAPE, variant, tuning } as unknown as AttentionEncoder;
}

function measurement(changes: Partial<Calibration> = {}): Calibration {
  const times = [{ length: 1024, dense: [30, 31], sift: [20, 21] }];
  const samples = [{ length: 1024, dense: 30.5, sift: 20.5 }];
  const numbers = { siftFrom: 0, workgroups: 64, siftWorkgroups: 32, milliseconds: 120 };
  return { ...numbers, samples, times, steady: true, ...changes };
}

let database: FakeIndexedDb;
beforeEach(() => {
  database = new FakeIndexedDb();
  vi.stubGlobal('indexedDB', database);
  measure.mockReset();
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe('a calibration', () => {
  test('is measured at one load, and used by the next without measuring', async () => {
    measure.mockResolvedValue(measurement());
    const { times, steady, ...choice } = measurement();
    expect(await calibration(load(), POLICY)).toEqual({ ...choice, source: 'measured' });
    expect(await calibration(load(), POLICY)).toEqual({ ...choice, source: 'remembered' });
    expect(measure).toHaveBeenCalledTimes(1);
  });

  test('of another device is another', async () => {
    measure.mockResolvedValue(measurement());
    await calibration(load('one'), POLICY);
    expect((await calibration(load('another'), POLICY)).source).toBe('measured');
    expect(database.values).toHaveLength(2);
  });

  test('that is unsteady is measured again, and begins with what was chosen', async () => {
    const busy = measurement({ steady: false, siftWorkgroups: 48 });
    measure.mockResolvedValueOnce(busy);
    expect((await calibration(load(), POLICY)).source).toBe('measured');
    measure.mockResolvedValueOnce(measurement({ ...busy, siftFrom: 900, milliseconds: 7 }));
    expect(await calibration(load(), POLICY)).toMatchObject({
      siftFrom: 0,
      milliseconds: 120,
      source: 'remembered',
    });
    expect(measure.mock.lastCall?.[4]).toMatchObject({ workgroups: 64, siftWorkgroups: 48 });
    // What clearly speaks against it changes it.
    const against = { times: [{ length: 1024, dense: [20, 21], sift: [40, 41] }] };
    measure.mockResolvedValueOnce(measurement({ ...against, siftWorkgroups: 48 }));
    expect(await calibration(load(), POLICY)).toMatchObject({ siftFrom: Infinity, source: 'measured' });
    expect(await calibration(load(), POLICY)).toMatchObject({ siftFrom: Infinity, source: 'remembered' });
    expect(measure).toHaveBeenCalledTimes(3);
  });

  test('of two loads at once is that of the first to write', async () => {
    const first = load();
    let written: Promise<unknown> | undefined;
    measure.mockImplementationOnce(async () => {
      // While this one measures, another load measures and writes.
      measure.mockResolvedValueOnce(measurement({ siftFrom: 5000 }));
      written = calibration(load(), POLICY);
      await written;
      return measurement({ siftFrom: 7000 });
    });
    expect(await calibration(first, POLICY)).toMatchObject({ siftFrom: 5000, source: 'remembered' });
    expect(await written).toMatchObject({ siftFrom: 5000, source: 'measured' });
    expect(await calibration(load(), POLICY)).toMatchObject({ siftFrom: 5000, source: 'remembered' });
  });

  test.each(['refused', 'throws', 'full', 'foreign'] as const)(
    'is measured by every load where storage is %s',
    async (failure) => {
      database.failure = failure;
      measure.mockResolvedValue(measurement());
      expect((await calibration(load(), POLICY)).source).toBe('measured');
      expect((await calibration(load(), POLICY)).source).toBe('measured');
    },
  );

  test('whose record is broken is measured anew, and the record is made anew', async () => {
    const encoder = load();
    await sharedValue(calibrationKey(encoder, POLICY, undefined), () => ({ siftFrom: 'soon' }));
    measure.mockResolvedValue(measurement());
    expect((await calibration(encoder, POLICY)).source).toBe('measured');
    expect((await calibration(load(), POLICY)).source).toBe('remembered');
  });

  test('that fails is dense, or what was chosen before', async () => {
    measure.mockRejectedValueOnce(new Error('made by the test'));
    const failed = await calibration(load(), POLICY);
    expect(failed).toMatchObject({ siftFrom: Infinity, samples: [], source: 'measured' });
    expect(database.values).toHaveLength(0);
    measure.mockResolvedValueOnce(measurement({ steady: false }));
    await calibration(load(), POLICY);
    measure.mockRejectedValueOnce(new Error('made by the test'));
    expect(await calibration(load(), POLICY)).toMatchObject({ siftFrom: 0, source: 'remembered' });
  });
});
