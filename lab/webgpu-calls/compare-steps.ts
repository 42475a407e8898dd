import { align } from './align.ts';
import type { BoundRange, CallKind, StepCalls, WebGpuCall } from './webgpu-call.ts';

/** In what a call differs from its counterpart in another step. */
export type Difference =
  | 'another buffer'
  | 'another range of a buffer'
  | 'other contents'
  | 'other workgroups'
  | 'another pipeline'
  | 'no counterpart';

/** How many calls of a kind a step has, and how many of them the other step has just so. */
export interface KindShare {
  kind: CallKind;
  calls: number;
  same: number;
  /** Calls by what is different in them; a call may differ in several ways. */
  differences: Partial<Record<Difference, number>>;
}

export interface StepComparison {
  /** Whether the kinds of calls, and the pipelines of dispatches, come in the same order in both steps. */
  sameOrder: boolean;
  calls: number;
  same: number;
  kinds: KindShare[];
}

/** Holds the calls of a step against those of an earlier one. */
export function compareSteps(earlier: StepCalls, later: StepCalls): StepComparison {
  const [a, b] = [earlier.calls, later.calls];
  const pairs = align(a.map(orderKey), b.map(orderKey));
  const counterparts = new Map(pairs.map(([i, j]) => [j, a[i]!]));
  const kinds = new Map<CallKind, KindShare>();
  let same = 0;
  b.forEach((call, j) => {
    const share = kinds.get(call.kind) ?? { kind: call.kind, calls: 0, same: 0, differences: {} };
    kinds.set(call.kind, share);
    share.calls++;
    const counterpart = counterparts.get(j);
    const differences: readonly Difference[] = counterpart
      ? differencesOf(counterpart, call)
      : ['no counterpart'];
    if (differences.length === 0) {
      share.same++;
      same++;
    }
    for (const each of differences) share.differences[each] = (share.differences[each] ?? 0) + 1;
  });
  const sameOrder = a.length === b.length && pairs.length === b.length;
  return { sameOrder, calls: b.length, same, kinds: [...kinds.values()] };
}

/** What must be equal for two calls to be counterparts. */
function orderKey(call: WebGpuCall): string {
  if (call.kind === 'setPipeline') return `setPipeline ${call.pipeline}`;
  if (call.kind === 'dispatch' || call.kind === 'dispatchIndirect')
    return `${call.kind} ${call.state.pipeline}`;
  return call.kind;
}

/** In what two calls differ; nothing if they are the same call. */
export function differencesOf(a: WebGpuCall, b: WebGpuCall): Difference[] {
  if (a.kind !== b.kind) return ['no counterpart'];
  const differences = new Set<Difference>();
  const hold = (equal: boolean, difference: Difference) => {
    if (!equal) differences.add(difference);
  };
  const other = b as never as Record<string, unknown>;
  const mine = a as never as Record<string, unknown>;
  const equal = (name: string) => mine[name] === other[name];
  for (const name of ['buffer', 'from', 'to']) hold(equal(name), 'another buffer');
  for (const name of ['offset', 'size', 'fromOffset', 'toOffset'])
    hold(equal(name), 'another range of a buffer');
  hold(equal('pipeline'), 'another pipeline');
  if ('bytes' in a && 'bytes' in b) hold(sameNumbers(a.bytes, b.bytes), 'other contents');
  if ('bindings' in a && 'bindings' in b)
    for (const difference of bindingDifferences(a.bindings, b.bindings)) differences.add(difference);
  if ('workgroups' in a && 'workgroups' in b)
    hold(sameNumbers(a.workgroups, b.workgroups), 'other workgroups');
  return [...differences];
}

function bindingDifferences(a: readonly BoundRange[], b: readonly BoundRange[]): Difference[] {
  if (a.length !== b.length) return ['another buffer'];
  const differences = new Set<Difference>();
  a.forEach((range, i) => {
    const other = b[i]!;
    if (range.binding !== other.binding || range.buffer !== other.buffer) differences.add('another buffer');
    if (range.offset !== other.offset || range.size !== other.size)
      differences.add('another range of a buffer');
  });
  return [...differences];
}

export const sameNumbers = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i] || Object.is(value, b[i]));
