// Random sequences of life.
import fc from 'fast-check';
import { type Action, type Call, type PolicyName, SLOTS, type Text, WRAPPED } from './action.ts';
import { ActionCommand, type Real } from './command.ts';
import { type LifeModel, MAX_ACTIONS } from './model.ts';

/** The pipelines of the same model more often: more of a sequence is then compiled already. */
const slot = fc.oneof(
  { weight: 2, arbitrary: fc.nat(SLOTS - 2) },
  { weight: 1, arbitrary: fc.nat(SLOTS - 1) },
);
const chat = fc.nat(2);
const seed = fc.nat(9999);
const maybe = <T>(arbitrary: fc.Arbitrary<T>, rarely: number): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: rarely, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });

/** Lengths about the tiles of the kernels (64 keys), the rows that a cache grows by, and short prompts that the runtime decodes. */
const length = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 2, arbitrary: fc.constantFrom(1, 2, 31, 32, 33, 62, 63, 64, 65, 66) },
  { weight: 1, arbitrary: fc.constantFrom(120, 127, 128, 129, 250, 255, 256, 257) },
);
const text = (lengths: fc.Arbitrary<number>): fc.Arbitrary<Text> => fc.record({ seed, length: lengths });
const count = fc.integer({ min: 1, max: 7 });
const place = fc.integer({ min: 1, max: 5 });

function call(prompts: fc.Arbitrary<Text[]>): fc.Arbitrary<Call> {
  return fc
    .record({
      kind: fc.constantFrom('greedy', 'greedy', 'greedy', 'sample', 'beams', 'several', 'stream'),
      prompts,
      count,
      seed,
      stopAt: maybe(place, 4),
      throwAt: maybe(place, 12),
      interjection: maybe(
        fc.record({ at: place, does: fc.constantFrom('enable', 'disable', 'dispose', 'report') }),
        3,
      ),
    })
    .map((call) =>
      // transformers.js streams no batch: it throws before the first step, so that nothing can be done in one.
      call.kind === 'stream' && call.prompts.length > 1 ? { ...call, interjection: null } : call,
    );
}
const single = call(fc.array(text(length), { minLength: 1, maxLength: 1 }));
const anyCall = call(
  fc.oneof(
    { weight: 3, arbitrary: fc.array(text(length), { minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array(text(fc.integer({ min: 1, max: 70 })), { minLength: 2, maxLength: 3 }) },
  ),
);
const branch = text(fc.integer({ min: 1, max: 3 }));

/** Kinds of actions, each as often as its weight. */
const actionsOf = (policy: fc.Arbitrary<PolicyName>): [number, fc.Arbitrary<Action>][] =>
  [
    [8, fc.record({ do: fc.constant('load'), slot })],
    [1, fc.record({ do: fc.constant('unload'), slot })],
    [5, fc.record({ do: fc.constant('enable'), slot, policy })],
    [1, fc.record({ do: fc.constant('enable twice'), slot, policy })],
    [8, fc.record({ do: fc.constant('enable both'), slot, other: slot, policy })],
    [3, fc.record({ do: fc.constant('enable while generating'), slot, other: slot, policy, call: anyCall })],
    [
      1,
      fc.record({
        do: fc.constant('unload while enabling'),
        slot,
        policy,
        delay: fc.constantFrom(0, 1, 5, 20, 80),
      }),
    ],
    [1, fc.record({ do: fc.constant('switch on'), slot })],
    [2, fc.record({ do: fc.constant('switch off'), slot })],
    [2, fc.record({ do: fc.constant('dispose'), slot })],
    [1, fc.record({ do: fc.constant('report'), slot })],
    [6, fc.record({ do: fc.constant('generate'), slot, call: anyCall })],
    [
      2,
      fc.record({
        do: fc.constant('generate together'),
        slot,
        other: slot,
        call: anyCall,
        otherCall: anyCall,
      }),
    ],
    [4, fc.record({ do: fc.constant('begin chat'), slot, call: single })],
    [6, fc.record({ do: fc.constant('go on'), chat, call: single })],
    [4, fc.record({ do: fc.constant('crop'), chat, length: fc.integer({ min: 1, max: 90 }) })],
    [3, fc.record({ do: fc.constant('two continuations'), chat, texts: fc.tuple(branch, branch) })],
    [2, fc.record({ do: fc.constant('forget chat'), chat })],
    [3, fc.record({ do: fc.constant('wrap'), slot, method: fc.nat(WRAPPED.length - 1) })],
    [2, fc.record({ do: fc.constant('unwrap'), which: fc.nat(2), blindly: fc.boolean() })],
  ] as [number, fc.Arbitrary<Action>][];

/**
 * Sequences: a pipeline that has sift, and what happens then. Actions that make no sense when their turn comes are left out, which is why
 * there are more of them than are done.
 *
 * @param policies those that sift is enabled with; the first two more often than the others
 */
export function sequencesOf(policies: readonly PolicyName[]) {
  const policy = fc.constantFrom(...policies, ...policies.slice(0, 2));
  const action = fc.oneof(...actionsOf(policy).map(([weight, arbitrary]) => ({ weight, arbitrary })));
  return fc.tuple(
    slot,
    policy,
    fc.commands<LifeModel, Real, false>([action.map((each) => new ActionCommand(each))], {
      maxCommands: 4 * MAX_ACTIONS,
      size: 'max',
    }),
  );
}

/** What a sequence begins with. */
export const beginning = (slot: number, policy: PolicyName): Action[] => [
  { do: 'load', slot },
  { do: 'enable', slot, policy },
];
