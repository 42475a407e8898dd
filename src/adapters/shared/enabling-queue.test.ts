import { expect, test } from 'vitest';
import { queued } from './enabling-queue.ts';

/** Work that ends when it is told to. */
function work(): { run: () => Promise<string>; end: () => void; begun: () => boolean } {
  let end = () => {};
  let begun = false;
  const ended = new Promise<string>((resolve) => {
    end = () => resolve('done');
  });
  const run = () => {
    begun = true;
    return ended;
  };
  return { run, end: () => end(), begun: () => begun };
}

test('one at a time, in order, whether they succeed or fail', async () => {
  const [first, second] = [work(), work()];
  const one = queued(first.run);
  const two = queued(second.run);
  const three = queued(() => Promise.reject(new Error('third')));
  const four = queued(async () => 'fourth');
  await Promise.resolve();
  expect([first.begun(), second.begun()]).toEqual([true, false]);
  first.end();
  expect(await one).toBe('done');
  second.end();
  expect(await two).toBe('done');
  await expect(three).rejects.toThrow('third');
  expect(await four).toBe('fourth');
});

test('who is given up while waiting leaves at once, and is never begun', async () => {
  const [first, second] = [work(), work()];
  const leaving = new AbortController();
  const one = queued(first.run);
  const two = queued(second.run, leaving.signal);
  const three = queued(async () => 'third');
  leaving.abort(new Error('left'));
  await expect(two).rejects.toThrow('left');
  await expect(queued(second.run, leaving.signal)).rejects.toThrow('left');
  first.end();
  expect([await one, await three, second.begun()]).toEqual(['done', 'third', false]);
});

test('work that has begun goes on', async () => {
  const first = work();
  const leaving = new AbortController();
  const one = queued(first.run, leaving.signal);
  await Promise.resolve();
  expect(first.begun()).toBe(true);
  leaving.abort();
  first.end();
  expect(await one).toBe('done');
});
