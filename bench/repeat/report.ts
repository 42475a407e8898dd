import { markdownTable } from '../../lab/markdown.ts';
import { isRenamed, rolePeriods } from '../../lab/webgpu-calls/buffer-roles.ts';
import { compareSteps, type KindShare, type StepComparison } from '../../lab/webgpu-calls/compare-steps.ts';
import { describeRule } from '../../lab/webgpu-calls/length-rule.ts';
import { changingNumbers } from '../../lab/webgpu-calls/step-numbers.ts';
import type { StepCalls } from '../../lab/webgpu-calls/webgpu-call.ts';

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(0)}%`;

/** The comparisons of all steps with those before them. */
const comparisons = (steps: readonly StepCalls[]): StepComparison[] =>
  steps.slice(1).map((step, i) => compareSteps(steps[i]!, step));

/** The steps with the calls that most steps have, in the same order: only among these do roles mean the same. */
export function usualSteps(steps: readonly StepCalls[]): StepCalls[] {
  const groups: StepCalls[][] = [];
  for (const step of steps) {
    const group = groups.find(([first]) => compareSteps(first!, step).sameOrder);
    if (group) group.push(step);
    else groups.push([step]);
  }
  return groups.sort((a, b) => b.length - a.length)[0] ?? [];
}

/** What a step has beyond a usual one: its additional dispatches by their labels, and its additional buffers. */
function additionalTo(usual: StepCalls, step: StepCalls): string {
  const count = ({ calls }: StepCalls) => {
    const counts = new Map<string, number>();
    for (const call of calls) {
      if (call.kind !== 'dispatch' && call.kind !== 'createBuffer') continue;
      const name = call.kind === 'dispatch' ? call.state.label : 'createBuffer';
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  };
  const known = count(usual);
  return [...count(step)]
    .map(([name, times]) => [name, times - (known.get(name) ?? 0)] as const)
    .filter(([, more]) => more > 0)
    .map(([name, more]) => `, ${more} more ${name}`)
    .join('');
}

/** The longest run of neighbouring steps with the same calls in the same order. */
function longestRun(steps: readonly StepCalls[]): StepCalls[] {
  let best: StepCalls[] = [];
  let run: StepCalls[] = [];
  for (const step of steps) {
    const before = run.at(-1);
    run = before && compareSteps(before, step).sameOrder ? [...run, step] : [step];
    if (run.length > best.length) best = run;
  }
  return best;
}

/** What is the same from step to step, as text with tables. */
export function repeatReport(steps: readonly StepCalls[]): string {
  const usual = usualSteps(steps);
  const run = longestRun(steps);
  const next = comparisons(run);
  const renamed = run.slice(1).filter((step, i) => isRenamed(run[i]!, step)).length;
  const last = next.at(-1)!;
  const periods = rolePeriods(run);
  const others = steps.filter((step) => !usual.includes(step));
  return [
    `${steps.length} steps; ${usual.length} of them have the same ${last.calls} calls in the same order`,
    ...others.map(
      (step) => `  over ${step.length} keys: ${step.calls.length} calls${additionalTo(usual[0]!, step)}`,
    ),
    `of the ${next.length} pairs of neighbours in the longest run of such steps, ${renamed} differ in the buffers' roles and in contents alone`,
    `calls that are the same as in the step before, in all: ${percent(last.same, last.calls)}`,
    `roles of buffers by the steps after which they have the same buffer again: ${[...periods.counts]
      .sort(([a], [b]) => a - b)
      .map(([period, count]) => `${period}: ${count}`)
      .join(
        ', ',
      )}; never within ${run.length} steps: ${periods.none}; all the others together: ${periods.common}`,
    '',
    kindTable(last.kinds),
    '',
    numberTable(usual),
  ].join('\n');
}

function kindTable(kinds: readonly KindShare[]): string {
  const rows = kinds.map(({ kind, calls, same, differences }) => [
    kind,
    calls,
    same,
    Object.entries(differences)
      .map(([difference, count]) => `${difference}: ${count}`)
      .join(', '),
  ]);
  return markdownTable(['call', 'in a step', 'the same', 'what differs'], rows);
}

function numberTable(steps: readonly StepCalls[]): string {
  const rows = changingNumbers(steps).map(({ program, name, rule, dispatches }) => [
    program,
    name,
    describeRule(rule),
    dispatches,
  ]);
  return markdownTable(['program', 'number', 'n: keys in the cache', 'dispatches'], rows);
}
