// An action as fast-check does it: on the model, and in the page.
import type { AsyncCommand } from 'fast-check';
import {
  type Action,
  type Call,
  isExact,
  MODEL_OF_SLOT,
  type Outcome,
  type Part,
  type Script,
} from './action.ts';
import { compareOutcomes } from './compare.ts';
import type { LifeModel } from './model.ts';
import type { Answer } from './page/main.ts';

/** What a sequence is done on. */
export interface Real {
  act(action: Action): Promise<Answer>;
  /** A conversation from its beginning, elsewhere: by stock, or by sift alone. */
  expected(script: Script): Promise<Outcome>;
  readonly counts: Counts;
}

/** What was compared. */
export interface Counts {
  actions: number;
  calls: number;
  steps: number;
  ties: number;
  /** The largest relative distance of logits from stock's, and from a fresh run's of sift. */
  distance: { exact: number; sifted: number };
}

export const noCounts = (): Counts => ({
  actions: 0,
  calls: 0,
  steps: 0,
  ties: 0,
  distance: { exact: 0, sifted: 0 },
});

/** A conversation on which sift left nothing out is stock's. */
export const isStock = ({ parts }: Script): boolean =>
  parts.every((part) => 'crop' in part || !part.on || isExact(part.policy)) &&
  parts.every(
    (part) => !('call' in part) || part.call.interjection?.does !== 'enable' || isExact(part.policy),
  );

/** The same without sift. */
export const asStock = ({ model, parts }: Script): Script => ({
  model,
  parts: parts.map((part) => {
    if ('crop' in part) return part;
    const plain = { policy: null, on: false };
    return 'call' in part
      ? { call: { ...part.call, interjection: null }, ...plain }
      : { texts: part.texts, ...plain };
  }),
});

export class ActionCommand implements AsyncCommand<LifeModel, Real> {
  constructor(readonly action: Action) {}

  check(model: Readonly<LifeModel>): boolean {
    return model.allows(this.action);
  }

  toString(): string {
    return JSON.stringify(this.action);
  }

  async run(model: LifeModel, real: Real): Promise<void> {
    const { action } = this;
    // Before the action: what an enabled sift looks like when a call begins.
    const scripts = scriptsOf(model, action);
    model.done++;
    const answer = await real.act(action);
    real.counts.actions++;
    const expected = expectedOf(model, action);
    if (expected && !answer.others.every((got, i) => expected[i]!.some((each) => isOutcome(got, each))))
      throw new Error(
        `${this}: ${answer.others.join(', ')}; expected ${expected.map((each) => each.join(' or ')).join(', ')}`,
      );
    const ties = [];
    for (const [i, script] of scripts.entries())
      ties.push(await this.compare(real, script, answer.calls[i]!));
    advance(model, action, answer);
    // After a tie the conversations are not the same any more.
    const chat =
      'chat' in action ? model.chats[action.chat] : action.do === 'begin chat' && model.chats.at(-1);
    if (ties.includes(true) && chat) chat.length = Number.POSITIVE_INFINITY;
  }

  private async compare(real: Real, script: Script, got: Outcome): Promise<boolean> {
    const stock = isStock(script);
    const wanted = await real.expected(stock ? asStock(script) : script);
    const { fault, steps, tie, distance } = compareOutcomes(got, wanted);
    const { counts } = real;
    counts.calls++;
    counts.steps += steps;
    if (tie !== null) counts.ties++;
    const kind = stock ? 'exact' : 'sifted';
    if (!fault) counts.distance[kind] = Math.max(counts.distance[kind], distance);
    if (fault) throw new Error(`${this}: ${fault} (${stock ? "stock's" : "a fresh sift's"})`);
    return tie !== null;
  }
}

/** Whether an outcome is `ok` or the code that is meant; a code is followed by its message. */
export const isOutcome = (got: string, meant: string): boolean =>
  got === meant || got.startsWith(`${meant}: `);

/** The conversations whose last calls an action makes. */
function scriptsOf(model: LifeModel, action: Action): Script[] {
  const of = (slot: number, call: Call) => model.scriptOf(slot, call);
  switch (action.do) {
    case 'generate':
    case 'begin chat':
      return [of(action.slot, action.call)];
    case 'enable while generating':
      return [of(action.other, action.call)];
    case 'generate together':
      return [of(action.slot, action.call), of(action.other, action.otherCall)];
    case 'go on':
      return [chatScript(model, action.chat, model.part(model.chats[action.chat]!.slot, action.call))];
    case 'two continuations': {
      const { slot } = model.chats[action.chat]!;
      const { sift } = model.slots[slot]!;
      return [
        chatScript(model, action.chat, {
          texts: action.texts,
          policy: sift?.policy ?? null,
          on: sift?.on ?? false,
        }),
      ];
    }
    default:
      return [];
  }
}

function chatScript(model: LifeModel, index: number, part: Part): Script {
  const { slot, parts } = model.chats[index]!;
  return { model: MODEL_OF_SLOT[slot]!, parts: [...parts, part] };
}

/** What an action may answer besides the outcomes of calls; undefined: anything that is no raw error. */
function expectedOf(model: LifeModel, action: Action): string[][] | undefined {
  const slot = 'slot' in action ? model.slots[action.slot] : undefined;
  // What was taken away from under the plugin may keep it from seeing the runtime.
  const fine = model.blind ? ['ok', 'LATE_ENABLE', 'UNSUPPORTED_MODEL'] : ['ok'];
  switch (action.do) {
    case 'enable':
      return [slot?.sift ? ['INVALID_OPTION'] : fine];
    case 'enable twice':
      return [fine, ['INVALID_OPTION']];
    case 'enable both':
      return [fine, fine];
    case 'enable while generating':
      return [fine];
    case 'unload while enabling':
      return [[...fine, 'DISPOSED'], ['ok']];
    case 'dispose':
      return [['ok'], ['ok'], ['DISPOSED']];
    default:
      return [['ok']];
  }
}

/** Brings the model to what should be so after an action. */
function advance(model: LifeModel, action: Action, { others }: Answer): void {
  const give = (index: number, outcome: string | undefined) => {
    if (outcome === 'ok' && 'policy' in action)
      model.slots[index]!.sift = { policy: action.policy, on: true };
  };
  const called = (index: number, call: Call) => {
    model.interject(index, call);
    if (call.throwAt !== null) model.lost = true;
  };
  switch (action.do) {
    case 'load':
      model.slots[action.slot] = { sift: undefined };
      break;
    case 'unload':
    case 'unload while enabling':
      model.slots[action.slot] = undefined;
      for (const chat of model.chats.filter(({ slot }) => slot === action.slot))
        model.chats.splice(model.chats.indexOf(chat), 1);
      break;
    case 'enable':
    case 'enable twice':
      if (!model.slots[action.slot]!.sift) give(action.slot, others[0]);
      break;
    case 'enable both':
      give(action.slot, others[0]);
      give(action.other, others[1]);
      break;
    case 'enable while generating':
      called(action.other, action.call);
      give(action.slot, others[0]);
      break;
    case 'switch on':
    case 'switch off':
      model.slots[action.slot]!.sift!.on = action.do === 'switch on';
      break;
    case 'dispose':
      model.slots[action.slot]!.sift = undefined;
      break;
    case 'generate':
      called(action.slot, action.call);
      break;
    case 'generate together':
      called(action.slot, action.call);
      called(action.other, action.otherCall);
      break;
    case 'begin chat': {
      const part = model.part(action.slot, action.call);
      model.chats.push({ slot: action.slot, parts: [part], length: lengthAfter(0, action.call) });
      called(action.slot, action.call);
      break;
    }
    case 'go on': {
      const chat = model.chats[action.chat]!;
      chat.parts.push(model.part(chat.slot, action.call));
      chat.length = lengthAfter(chat.length, action.call);
      called(chat.slot, action.call);
      break;
    }
    case 'crop': {
      const chat = model.chats[action.chat]!;
      chat.parts.push({ crop: action.length });
      chat.length = action.length;
      break;
    }
    case 'forget chat':
      model.chats.splice(action.chat, 1);
      break;
    case 'wrap':
      model.wrappers++;
      break;
    case 'unwrap':
      model.wrappers--;
      if (action.blindly) model.blind = true;
      break;
  }
}

/** Tokens of a conversation after a call. One that was broken off by an error is not gone on with. */
function lengthAfter(length: number, { prompts, count, stopAt, throwAt }: Call): number {
  return throwAt !== null
    ? Number.POSITIVE_INFINITY
    : length + prompts[0]!.length + Math.min(count, stopAt ?? count);
}
