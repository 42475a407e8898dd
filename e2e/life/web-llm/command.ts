// An action on a web-llm engine as fast-check does it, and what should be so after it.
import type { AsyncCommand } from 'fast-check';
import { type Counts, isOutcome } from '../command.ts';
import type { Action, Answer, PolicyName } from './action.ts';

/** Actions of a sequence at most. */
const MAX_ACTIONS = 14;
/** The largest error of attention that leaves nothing out. */
const EXACT = 1e-5;
/** The largest distance from a fresh run: the same kernels on the same numbers. */
const SAME = 1e-6;

export class EngineModel {
  loaded = false;
  decoded = false;
  sift: { policy: PolicyName; on: boolean } | undefined;
  wrappers = 0;
  /** Another library has taken the plugin's functions away with its own. */
  blind = false;
  done = 0;
  /** What a fresh engine does to come to where this one is; undefined after an interruption, which does not end at a known step. */
  script: Action[] | undefined = [];

  get sifts(): boolean {
    return this.sift?.on === true && this.sift.policy !== 'exact';
  }
}

/** What a sequence is done on. */
export interface RealEngine {
  act(action: Action): Promise<Answer>;
  replayed(actions: readonly Action[]): Promise<Answer>;
  readonly counts: Counts;
}

export class EngineCommand implements AsyncCommand<EngineModel, RealEngine> {
  constructor(readonly action: Action) {}

  toString(): string {
    return JSON.stringify(this.action);
  }

  check(model: Readonly<EngineModel>): boolean {
    if (model.done >= MAX_ACTIONS) return false;
    const { action } = this;
    switch (action.do) {
      case 'enable':
        return !model.blind || action.policy === 'exact';
      case 'enable twice':
        return !model.sift && (!model.blind || action.policy === 'exact');
      case 'switch on':
      case 'switch off':
      case 'dispose':
      case 'report':
        return model.sift !== undefined;
      case 'load':
        return true;
      case 'cut':
        return model.decoded;
      case 'unwrap':
        // A fault of the other library's, after which sift may do nothing; it is not held against a run in which it does.
        return (
          action.which < model.wrappers && (!action.blindly || !model.sift || model.sift.policy === 'exact')
        );
      default:
        return model.loaded;
    }
  }

  async run(model: EngineModel, real: RealEngine): Promise<void> {
    const { action } = this;
    model.done++;
    const answer = await real.act(action);
    real.counts.actions++;
    const expected = expectedOf(model, action);
    if (answer.outcomes.some((outcome, i) => !isOutcome(outcome, expected[i]!)))
      throw new Error(`${this}: ${answer.outcomes.join(', ')}; expected ${expected.join(', ')}`);
    advance(model, action);
    if (answer.outputs) await this.compare(model, real, answer);
  }

  private async compare(
    model: EngineModel,
    real: RealEngine,
    { reply, outputs, error }: Answer,
  ): Promise<void> {
    const { counts } = real;
    counts.calls++;
    counts.steps++;
    if (!outputs!.every((layer) => layer.every(Number.isFinite)))
      throw new Error(`${this}: outputs that are no numbers`);
    if (!model.sifts) {
      counts.distance.exact = Math.max(counts.distance.exact, error!);
      if (!(error! < EXACT)) throw new Error(`${this}: ${error!.toExponential(2)} from dense attention`);
      return;
    }
    if (!model.script) return;
    const fresh = await real.replayed(model.script);
    const distance = outputs!.reduce(
      (max, layer, i) =>
        layer.reduce((m, value, j) => Math.max(m, Math.abs(value - fresh.outputs![i]![j]!)), max),
      0,
    );
    counts.distance.sifted = Math.max(counts.distance.sifted, distance);
    if (!(distance <= SAME)) throw new Error(`${this}: ${distance.toExponential(2)} from a fresh run`);
    if (reply !== fresh.reply) throw new Error(`${this}: replied ${reply}; a fresh run ${fresh.reply}`);
  }
}

function expectedOf({ sift }: EngineModel, action: Action): string[] {
  switch (action.do) {
    case 'enable':
      return [sift ? 'INVALID_OPTION' : 'ok'];
    case 'enable twice':
      return ['ok', 'INVALID_OPTION'];
    case 'dispose':
      return ['ok', 'ok', 'DISPOSED'];
    default:
      return ['ok'];
  }
}

/** Brings the model to what should be so after an action. */
function advance(model: EngineModel, action: Action): void {
  const { sift } = model;
  switch (action.do) {
    case 'load':
      model.loaded = true;
      model.decoded = false;
      model.script = [
        ...(sift ? [{ do: 'enable', policy: sift.policy } as const] : []),
        ...(sift && !sift.on ? [{ do: 'switch off' } as const] : []),
        action,
      ];
      break;
    case 'unload':
      model.loaded = false;
      model.decoded = false;
      model.script = [];
      break;
    case 'enable':
    case 'enable twice':
      if (sift) break;
      model.sift = { policy: action.policy, on: true };
      model.script?.push({ do: 'enable', policy: action.policy });
      break;
    case 'switch on':
    case 'switch off':
      sift!.on = action.do === 'switch on';
      model.script?.push(action);
      break;
    case 'dispose':
      model.sift = undefined;
      model.script?.push(action);
      break;
    case 'chat':
    case 'cut':
      model.decoded = true;
      model.script?.push(action);
      break;
    case 'reset':
      model.decoded = false;
      model.script?.push(action);
      break;
    case 'interrupt':
      model.decoded = true;
      model.script = undefined;
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
