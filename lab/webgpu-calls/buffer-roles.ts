import type { StepCalls, WebGpuCall } from './webgpu-call.ts';

/** The numbers of the buffers that a call names, in a fixed order: each place of them is a role in the step. */
export function buffersOf(call: WebGpuCall): number[] {
  switch (call.kind) {
    case 'copyBuffer':
      return [call.from, call.to];
    case 'createBindGroup':
    case 'setBindGroup':
      return call.bindings.map(({ buffer }) => buffer);
    case 'dispatchIndirect':
      return [call.buffer];
    default:
      return 'buffer' in call ? [call.buffer] : [];
  }
}

const rolesOf = ({ calls }: StepCalls): number[] => calls.flatMap(buffersOf);

/**
 * Whether two steps differ in nothing but which buffer has which role: each buffer of one step stands for one buffer of the other,
 * wherever it is named. Both steps must have the same calls in the same order.
 */
export function isRenamed(a: StepCalls, b: StepCalls): boolean {
  const [from, to] = [rolesOf(a), rolesOf(b)];
  if (from.length !== to.length) return false;
  const [there, back] = [new Map<number, number>(), new Map<number, number>()];
  return from.every((buffer, i) => {
    const other = to[i]!;
    if (!there.has(buffer)) there.set(buffer, other);
    if (!back.has(other)) back.set(other, buffer);
    return there.get(buffer) === other && back.get(other) === buffer;
  });
}

/** How many roles have which period, in steps. */
export interface RolePeriods {
  /** Roles by their period; 1: the same buffer at every step. */
  counts: ReadonlyMap<number, number>;
  /** Roles that no buffer has come back to, as those of buffers that are made anew. */
  none: number;
  /** Steps after which all roles with a period have their buffers again. */
  common: number;
}

/** Finds after how many steps each role has the same buffer again. All steps must have the same calls in the same order. */
export function rolePeriods(steps: readonly StepCalls[]): RolePeriods {
  const roles = steps.map(rolesOf);
  const counts = new Map<number, number>();
  let none = 0;
  for (let role = 0; role < (roles[0]?.length ?? 0); role++) {
    const period = periodOf(roles.map((step) => step[role]!));
    if (period === undefined) none++;
    else counts.set(period, (counts.get(period) ?? 0) + 1);
  }
  return { counts, none, common: [...counts.keys()].reduce(leastCommonMultiple, 1) };
}

/** The shortest period that was seen at least twice; undefined if there is none. */
function periodOf(values: readonly number[]): number | undefined {
  for (let period = 1; 2 * period <= values.length; period++)
    if (values.every((value, i) => i < period || value === values[i - period])) return period;
  return undefined;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
