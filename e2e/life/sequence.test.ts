import { describe, expect, test } from 'vitest';
import { type Action, type Call, type Outcome, POLICY_NAMES } from './action.ts';
import { beginning, sequencesOf } from './arbitrary.ts';
import { ActionCommand, noCounts, type Real } from './command.ts';
import { LifeModel } from './model.ts';
import type { Answer } from './page/main.ts';
import { type Play, runActions, runSeed, type Stage } from './sequence.ts';

const RIGHT: Outcome = { tokens: [[1]], logits: [], error: null, interjected: null };

/** A page in which everything is as it should be, unless `fault` says otherwise. */
class Faultless implements Real, Stage<Action> {
  readonly counts = noCounts();
  readonly trace: Action[] = [];
  renewed = 0;

  constructor(private readonly fault: (action: Action) => Answer | undefined = () => undefined) {}

  async act(action: Action): Promise<Answer> {
    this.trace.push(action);
    return this.fault(action) ?? { calls: [RIGHT, RIGHT], others: outcomesOf(action) };
  }

  async expected(): Promise<Outcome> {
    return RIGHT;
  }

  async renew(): Promise<void> {
    this.renewed++;
  }
}

/** What a page answers. */
function outcomesOf(action: Action): string[] {
  switch (action.do) {
    case 'enable':
      return sifted.has(action.slot) ? ['INVALID_OPTION: it has sift'] : ['ok'];
    case 'enable twice':
      return ['ok', 'INVALID_OPTION: it has sift'];
    case 'dispose':
      return ['ok', 'ok', 'DISPOSED: it is over'];
    case 'enable both':
    case 'unload while enabling':
      return ['ok', 'ok'];
    default:
      return ['ok'];
  }
}

/** Slots whose pipeline has sift, by the model. */
let sifted = new Set<number>();
class Watched extends LifeModel {
  override allows(action: Action): boolean {
    sifted = new Set([...this.slots.keys()].filter((slot) => this.slots[slot]?.sift));
    return super.allows(action);
  }
}

const playOn = (stage: Faultless, left: string[] = []): Play<LifeModel, Action, Faultless> => ({
  stage,
  sequences: sequencesOf(POLICY_NAMES).map(([slot, policy, rest]) => ({
    first: beginning(slot, policy),
    rest,
  })),
  model: () => new Watched(),
  command: (action) => new ActionCommand(action),
  finish: async () => left,
});

describe('sequences', () => {
  test('500 of them do everything there is to do, often enough', async () => {
    const done = new Map<string, number>();
    const count = (name: string) => done.set(name, (done.get(name) ?? 0) + 1);
    const stage = new Faultless((action) => {
      count(action.do);
      if ('policy' in action) count(action.policy);
      for (const call of ['call', 'otherCall'].flatMap((key) =>
        key in action ? [action[key as never]] : [],
      )) {
        const { kind, prompts, stopAt, throwAt, interjection } = call as Extract<
          Action,
          { do: 'generate' }
        >['call'];
        for (const name of [kind, interjection?.does && `${interjection.does} within`]) if (name) count(name);
        if (prompts.length > 1) count('batch');
        if (stopAt !== null) count('interrupted');
        if (throwAt !== null) count('thrown');
      }
      return undefined;
    });
    for (let seed = 1; seed <= 500; seed++) expect(await runSeed(playOn(stage), seed)).toBeUndefined();
    expect(stage.counts.actions / 500).toBeGreaterThan(8);
    const kinds = ['load', 'unload', 'enable', 'enable twice', 'enable both', 'enable while generating'];
    kinds.push('unload while enabling', 'switch on', 'switch off', 'dispose', 'report', 'generate');
    kinds.push('generate together', 'begin chat', 'go on', 'crop', 'two continuations', 'forget chat');
    kinds.push('wrap', 'unwrap', ...POLICY_NAMES, 'greedy', 'sample', 'beams', 'several', 'stream', 'batch');
    kinds.push('interrupted', 'thrown', 'enable within', 'disable within', 'dispose within', 'report within');
    expect(
      Object.fromEntries(
        kinds.filter((name) => !((done.get(name) ?? 0) >= 20)).map((name) => [name, done.get(name)]),
      ),
    ).toEqual({});
  });

  test('a fault is found, and its sequence made as short as it can be', async () => {
    const stage = new Faultless((action) =>
      action.do === 'report' ? { calls: [], others: ['not a SiftError: TypeError'] } : undefined,
    );
    let failure: Awaited<ReturnType<typeof runSeed<LifeModel, Action, Faultless>>>;
    let seed = 0;
    while (!failure) failure = await runSeed(playOn(stage), ++seed);
    expect(failure.error).toContain('not a SiftError');
    expect(failure.actions.map((action) => action.do)).toEqual(['load', 'enable', 'report']);
    await expect(runActions(playOn(stage), failure.actions)).rejects.toThrow('not a SiftError');
    expect(stage.renewed).toBeGreaterThan(1);
  });

  test('what is left behind is a fault', async () => {
    await expect(runActions(playOn(new Faultless(), ['a buffer']), beginning(0, 'exact'))).rejects.toThrow(
      'left behind: a buffer',
    );
  });

  test('a wrong token is a fault, whatever the call', async () => {
    const wrong: Outcome = { ...RIGHT, tokens: [[2]] };
    const call: Call = {
      kind: 'greedy',
      prompts: [{ seed: 1, length: 3 }],
      count: 2,
      seed: 0,
      stopAt: null,
      throwAt: null,
      interjection: null,
    };
    const stage = new Faultless((action) => ('call' in action ? { calls: [wrong], others: [] } : undefined));
    const actions: Action[] = [...beginning(0, 'default'), { do: 'generate', slot: 0, call }];
    await expect(runActions(playOn(stage), actions)).rejects.toThrow('tokens [[2]] instead of [[1]]');
  });
});
