import { afterEach, expect, test, vi } from 'vitest';
import { copySharedWrites } from './shared-memory.ts';

afterEach(() => vi.unstubAllGlobals());

test('data in shared memory are copied, other data are passed on, until it is taken away', () => {
  const written: unknown[][] = [];
  class Queue {
    writeBuffer(...args: unknown[]): void {
      written.push(args);
    }
  }
  vi.stubGlobal('GPUQueue', Queue);
  const queue = new Queue() as unknown as GPUQueue;
  const buffer = {} as GPUBuffer;
  const shared = new Uint16Array(new SharedArrayBuffer(16), 2, 6).fill(7);
  const own = new Uint8Array(4);

  const interception = copySharedWrites();
  queue.writeBuffer(buffer, 8, shared as never, 1, 2);
  queue.writeBuffer(buffer, 8, shared.buffer as never, 12);
  queue.writeBuffer(buffer, 8, own, 1, 2);
  expect(written).toEqual([
    [buffer, 8, Uint8Array.of(7, 0, 7, 0)],
    [buffer, 8, Uint8Array.of(7, 0, 0, 0)],
    [buffer, 8, own, 1, 2],
  ]);
  expect(written[2]![2]).toBe(own);

  interception.remove();
  queue.writeBuffer(buffer, 0, shared as never);
  expect(written[3]![2]).toBe(shared);
});
