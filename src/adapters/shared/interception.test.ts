import { describe, expect, test } from 'vitest';
import { type Interception, intercept } from './interception.ts';

class Machine {
  run(x: number): number {
    return x;
  }
}

/** Adds to what a machine's `run` gives. */
function add(machine: Machine, amount: number): Interception {
  return intercept(
    machine,
    'run',
    (run, interception) =>
      function (this: Machine, x) {
        const result = run.call(this, x);
        return interception.active ? result + amount : result;
      },
  );
}

/** What other libraries do: put back what they found, whoever's it is. */
function foreign(machine: Machine, amount: number): () => void {
  const before = machine.run;
  machine.run = (x) => before.call(machine, x) + amount;
  return () => {
    machine.run = before;
  };
}

describe('intercept', () => {
  test('its removal leaves no own property where there was none, and puts back one that was there', () => {
    const machine = new Machine();
    const first = add(machine, 1);
    expect(machine.run(0)).toBe(1);
    first.remove();
    expect(Object.hasOwn(machine, 'run')).toBe(false);

    const own = (x: number) => 10 * x;
    machine.run = own;
    const second = add(machine, 1);
    expect(machine.run(2)).toBe(21);
    second.remove();
    expect(machine.run).toBe(own);
  });

  test("another library's wrapper that came later survives, and ours passes calls on", () => {
    const machine = new Machine();
    const ours = add(machine, 1);
    const unwrap = foreign(machine, 100);
    ours.remove();
    expect(machine.run(0)).toBe(100);
    // It puts ours back, which has nothing to do any more.
    unwrap();
    expect(machine.run(0)).toBe(0);
  });

  test('ours in front of another, taken away in either order', () => {
    for (const oursFirst of [true, false]) {
      const machine = new Machine();
      const unwrap = foreign(machine, 100);
      const ours = add(machine, 1);
      expect(machine.run(0)).toBe(101);
      const steps = [() => ours.remove(), unwrap];
      for (const step of oursFirst ? steps : steps.reverse()) step();
      // The other library, going first, took ours away with it; going last, it put back what it found.
      expect(machine.run(0)).toBe(0);
    }
  });

  test('again and again, with a wrapper of another library in between: each is removed once, none acts twice', () => {
    const machine = new Machine();
    const first = add(machine, 1);
    foreign(machine, 100);
    first.remove();
    first.remove();
    const second = add(machine, 1);
    expect(machine.run(0)).toBe(101);
    second.remove();
    expect(machine.run(0)).toBe(100);
  });

  test('two of ours go in any order', () => {
    const machine = new Machine();
    const [a, b] = [add(machine, 1), add(machine, 2)];
    a.remove();
    expect(machine.run(0)).toBe(2);
    b.remove();
    expect(machine.run(0)).toBe(0);
  });
});
