import { beforeAll, describe, expect, test } from 'vitest';
import { defineWebGpuGlobals, FakeDevice } from '../../testing/fake-device.ts';
import { Shadow, shadowGroups, shadowRowBytes } from './shadow.ts';

const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f16' } as const;

beforeAll(defineWebGpuGlobals);

describe('sizes', () => {
  test('a row has a quarter of a byte an element, in whole vectors, and a byte of scale', () => {
    expect([64, 128, 80, 96, 40].map((headSize) => shadowRowBytes({ headSize }))).toEqual([
      17, 33, 25, 25, 17,
    ]);
    const shadow = new Shadow(new FakeDevice().gpu, SHAPE, 3);
    expect(shadow.bytesOf(shadowGroups(1024))).toBe(3 * 2 * 1024 * 17);
  });

  test('there is room for all rows, and never for a quarter more than that', () => {
    let before = 0;
    for (let rows = 1; rows < 20_000; rows += 7) {
      const groups = shadowGroups(rows);
      const least = Math.ceil(rows / 32);
      expect(groups).toBeGreaterThanOrEqual(Math.max(least, before));
      expect(groups).toBeLessThanOrEqual(Math.max(least, 1.25 * least));
      before = groups;
    }
  });
});

describe('the life of a shadow', () => {
  const make = () => {
    const device = new FakeDevice();
    return { device, shadow: new Shadow(device.gpu, SHAPE, 1) };
  };

  test('all rows at first, and later only when the newest edge keys do not cover what is missing', () => {
    const { shadow } = make();
    shadow.get(shadowGroups(1000));
    expect(shadow.encode(1000)).toEqual({ rows: 1000, statistics: true });
    for (let rows = 1000; rows <= 1048; rows++) expect(shadow.encode(rows)).toBeUndefined();
    expect(shadow.encode(1049)).toEqual({ rows: 49, statistics: false });
    expect(shadow.encode(1050)).toBeUndefined();
    // Steps that did not read the shadow left more behind.
    expect(shadow.encode(1300)).toEqual({ rows: 251, statistics: false });
  });

  test('a cache that has become shorter, or begins anew, is encoded anew', () => {
    const { shadow } = make();
    shadow.get(shadowGroups(1000));
    shadow.encode(1000);
    expect(shadow.encode(900)).toEqual({ rows: 900, statistics: true });
    shadow.reset();
    expect(shadow.encode(901)).toEqual({ rows: 901, statistics: true });
  });

  test('a larger buffer is encoded anew; the old one lives until its work was submitted', () => {
    const { shadow, device } = make();
    const first = shadow.get(shadowGroups(1000));
    shadow.encode(1000);
    expect(shadow.get(shadowGroups(1000))).toBe(first);
    expect(shadow.has(shadowGroups(1000))).toBe(true);
    expect(shadow.has(shadowGroups(2000))).toBe(false);
    const bytes = shadow.bytes;
    const second = shadow.get(shadowGroups(2000));
    expect(second.buffer).not.toBe(first.buffer);
    expect(shadow.bytes).toBeGreaterThan(bytes);
    expect(shadow.encode(1001)).toEqual({ rows: 1001, statistics: true });
    expect(device.alive).toBe(2);
    shadow.collect();
    expect(device.alive).toBe(1);
    shadow.destroy();
    expect(device.alive).toBe(0);
    expect(shadow.bytes).toBe(0);
  });
});
