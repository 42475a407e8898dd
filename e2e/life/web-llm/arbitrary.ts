// Random sequences of a web-llm engine's life.
import fc from 'fast-check';
import { type Action, POLICIES, type PolicyName, WRAPPED } from './action.ts';
import { EngineCommand, type EngineModel, type RealEngine } from './command.ts';

const policy = fc.constantFrom(...(Object.keys(POLICIES) as PolicyName[]));
const letters = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(11, 12, 27, 28, 29, 60));
const one = (name: Action['do']) => fc.record({ do: fc.constant(name) });

/** Kinds of actions, each as often as its weight. */
const actions = [
  [3, one('load')],
  [1, one('unload')],
  [4, fc.record({ do: fc.constant('enable'), policy })],
  [1, fc.record({ do: fc.constant('enable twice'), policy })],
  [1, one('switch on')],
  [2, one('switch off')],
  [2, one('dispose')],
  [1, one('report')],
  [1, one('reset')],
  [
    8,
    fc.record({
      ...{ do: fc.constant('chat'), letters, count: fc.integer({ min: 1, max: 8 }) },
      ...{ goesOn: fc.boolean(), stream: fc.boolean() },
    }),
  ],
  [1, fc.record({ do: fc.constant('interrupt'), letters, at: fc.integer({ min: 1, max: 6 }) })],
  [2, fc.record({ do: fc.constant('cut'), share: fc.constantFrom(0.3, 0.5, 0.9) })],
  [3, fc.record({ do: fc.constant('wrap'), method: fc.nat(WRAPPED.length - 1) })],
  [2, fc.record({ do: fc.constant('unwrap'), which: fc.nat(2), blindly: fc.boolean() })],
] as [number, fc.Arbitrary<Action>][];

const action = fc.oneof(...actions.map(([weight, arbitrary]) => ({ weight, arbitrary })));

/** Sequences: an engine with sift and a model, and what happens then. */
export const sequences = fc.tuple(
  fc.boolean(),
  policy,
  fc.commands<EngineModel, RealEngine, false>([action.map((each) => new EngineCommand(each))], {
    maxCommands: 50,
    size: 'max',
  }),
);

/** What a sequence begins with: sift is enabled before the model is loaded, or after. */
export const beginning = (first: boolean, policy: PolicyName): Action[] => {
  const both: Action[] = [{ do: 'enable', policy }, { do: 'load' }];
  return first ? both : both.reverse();
};
