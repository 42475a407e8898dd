import { expect, test } from 'vitest';
import { observe, removeAll } from './observe.ts';

class Counter {
  constructor(readonly start: number) {}
  add(a: number, b = 1): number {
    return this.start + a + b;
  }
}

test('calls are noted with their results and arguments, and made as they are', () => {
  const noted: unknown[] = [];
  const interception = observe(Counter.prototype, 'add', (result, args, self) =>
    noted.push([result, [...args], self.start]),
  );
  expect(new Counter(10).add(1, 2)).toBe(13);
  expect(new Counter(20).add(1)).toBe(22);
  interception.remove();
  expect(new Counter(30).add(1)).toBe(32);
  expect(noted).toEqual([
    [13, [1, 2], 10],
    [22, [1], 20],
  ]);
});

test('a method that was observed twice is as it was once both are taken away; a buried one notes nothing', () => {
  const counter = new Counter(0);
  const noted: string[] = [];
  const below = observe(counter, 'add', () => noted.push('below'));
  const above = observe(counter, 'add', () => noted.push('above'));
  counter.add(1);
  expect(noted.splice(0)).toEqual(['below', 'above']);
  below.remove();
  expect(counter.add(1)).toBe(2);
  expect(noted.splice(0)).toEqual(['above']);
  above.remove();

  const fresh = new Counter(0);
  removeAll([observe(fresh, 'add', () => {}), observe(fresh, 'add', () => {})]);
  expect(Object.hasOwn(fresh, 'add')).toBe(false);
});
