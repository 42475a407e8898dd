import { findLengthRule, isConstant, type LengthRule } from './length-rule.ts';
import type { DispatchState, StepCalls } from './webgpu-call.ts';

/** A number of a program that is not the same at every step: a uniform, or how many workgroups there are. */
export interface ChangingNumber {
  /** The label of the program. */
  program: string;
  /** The name of the uniform with the place of its component if it has several, or `workgroups.x`. */
  name: string;
  /** How it follows from the length; undefined if it was not found. */
  rule: LengthRule | undefined;
  /** In how many dispatches of a step. */
  dispatches: number;
}

type Numbers = Map<string, number>;

/** Finds what changes in the dispatches from step to step. All steps must have the same dispatches in the same order. */
export function changingNumbers(steps: readonly StepCalls[]): ChangingNumber[] {
  const lengths = steps.map(({ length }) => length);
  const dispatches = steps.map(({ calls }) =>
    calls.flatMap((call) =>
      call.kind === 'dispatch'
        ? [{ label: call.state.label, numbers: numbersOf(call.state, call.workgroups) }]
        : [],
    ),
  );
  const found = new Map<string, ChangingNumber>();
  dispatches[0]?.forEach(({ label, numbers }, at) => {
    for (const name of numbers.keys()) {
      const values = dispatches.map((step) => step[at]!.numbers.get(name)!);
      const rule = findLengthRule(lengths, values);
      if (isConstant(rule)) continue;
      const key = JSON.stringify([label, name, rule]);
      const known = found.get(key);
      if (known) known.dispatches++;
      else found.set(key, { program: label, name, rule, dispatches: 1 });
    }
  });
  return [...found.values()];
}

function numbersOf({ fields }: DispatchState, workgroups: readonly number[]): Numbers {
  const numbers: Numbers = new Map();
  for (const { name, values } of fields)
    values.forEach((value, i) => {
      numbers.set(values.length === 1 ? name : `${name}[${i}]`, value);
    });
  workgroups.forEach((value, i) => {
    numbers.set(`workgroups.${'xyz'[i]}`, value);
  });
  return numbers;
}
