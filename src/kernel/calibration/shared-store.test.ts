import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeIndexedDb } from '../../testing/fake-indexed-db.ts';

let database: FakeIndexedDb;
let sharedValue: typeof import('./shared-store.ts').sharedValue;
beforeEach(async () => {
  database = new FakeIndexedDb();
  vi.stubGlobal('indexedDB', database);
  // Whether storage hangs is remembered for as long as the module lives.
  vi.resetModules();
  ({ sharedValue } = await import('./shared-store.ts'));
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('a value in IndexedDB', () => {
  test('is there for the next reader, numbers without end included, and no connection stays open', async () => {
    expect(await sharedValue('a')).toBeUndefined();
    expect(await sharedValue('a', () => ({ from: Number.POSITIVE_INFINITY }))).toEqual({ from: Infinity });
    expect(await sharedValue('a')).toEqual({ from: Infinity });
    expect(await sharedValue('b')).toBeUndefined();
    expect(database.connections).toBe(0);
  });

  test('is not written by anyone between being read and being replaced', async () => {
    const add = () => sharedValue('count', (stored) => ((stored as number | undefined) ?? 0) + 1);
    expect((await Promise.all([add(), add(), add()])).sort()).toEqual([1, 2, 3]);
  });

  test.each(['refused', 'throws', 'full', 'foreign'] as const)(
    'storage that is %s gives nothing',
    async (failure) => {
      database.failure = failure;
      expect(await sharedValue('a', () => 1)).toBeUndefined();
      expect(await sharedValue('a')).toBeUndefined();
      expect(database.connections).toBe(0);
    },
  );

  test('where there is no IndexedDB, there is nothing', async () => {
    vi.stubGlobal('indexedDB', undefined);
    expect(await sharedValue('a', () => 1)).toBeUndefined();
  });

  test('storage that never answers is waited for once', async () => {
    vi.useFakeTimers();
    database.failure = 'silent';
    const first = sharedValue('a');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await first).toBeUndefined();
    // No time passes here any more.
    expect(await sharedValue('a', () => 1)).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a change that fails stores nothing', async () => {
    const failing = () => {
      throw new Error('made by the test');
    };
    expect(await sharedValue('a', failing)).toBeUndefined();
    expect(database.values).toEqual([]);
  });
});
