// Runs sequences of life: random ones by their seed, and given ones.
import fc, { type AsyncCommand } from 'fast-check';

/** Where sequences of one kind are done. */
export interface Stage<Action> {
  /** What was done in the sequence. */
  readonly trace: Action[];
  /** After a failure nothing in the page can be trusted. */
  renew(): Promise<void>;
}

/** A kind of sequences. */
export interface Play<Model extends object, Action, Real extends Stage<Action>> {
  readonly stage: Real;
  /** What begins a sequence, and what follows. */
  readonly sequences: fc.Arbitrary<{
    first: readonly Action[];
    rest: Iterable<AsyncCommand<Model, Real, false>>;
  }>;
  model(): Model;
  command(action: Action): AsyncCommand<Model, Real, false>;
  /** Ends a sequence; what it left behind. */
  finish(model: Model): Promise<string[]>;
}

/** A sequence that failed, as small as it could be made. */
export interface Failure<Action = unknown> {
  readonly seed: number;
  readonly error: string;
  readonly actions: readonly Action[];
}

/** Milliseconds that a failing sequence is shrunk for. */
const SHRINKING = 240_000;

/** Does a sequence of given actions; those that make no sense when their turn comes are left out. */
export async function runActions<Model extends object, Action, Real extends Stage<Action>>(
  play: Play<Model, Action, Real>,
  actions: readonly Action[],
): Promise<void> {
  try {
    const model = play.model();
    await doAll(play, model, actions);
    await end(play, model);
  } catch (error) {
    await play.stage.renew();
    throw error;
  }
}

async function doAll<Model extends object, Action, Real extends Stage<Action>>(
  { stage, command }: Play<Model, Action, Real>,
  model: Model,
  actions: readonly Action[],
): Promise<void> {
  for (const action of actions) {
    const each = command(action);
    if (each.check(model)) await each.run(model, stage);
  }
}

async function end<Model extends object, Action, Real extends Stage<Action>>(
  { finish }: Play<Model, Action, Real>,
  model: Model,
): Promise<void> {
  const left = await finish(model);
  if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
}

/** Runs the sequence of a seed; a failing one is shrunk. */
export async function runSeed<Model extends object, Action, Real extends Stage<Action>>(
  play: Play<Model, Action, Real>,
  seed: number,
): Promise<Failure<Action> | undefined> {
  const { stage } = play;
  let failed: Omit<Failure<Action>, 'seed'> | undefined;
  const property = fc.asyncProperty(play.sequences, async ({ first, rest }) => {
    const model = play.model();
    stage.trace.length = 0;
    try {
      await doAll(play, model, first);
      await fc.asyncModelRun(() => ({ model, real: stage }), rest);
      await end(play, model);
    } catch (error) {
      failed = { error: error instanceof Error ? error.message : String(error), actions: [...stage.trace] };
      await stage.renew();
      throw error;
    }
  });
  const { failed: fails } = await fc.check(property, {
    seed,
    numRuns: 1,
    unbiased: true,
    interruptAfterTimeLimit: SHRINKING,
    markInterruptAsFailure: true,
  });
  return fails && failed ? { seed, ...failed } : undefined;
}
