import { type Interception, intercept } from '../../src/adapters/shared/interception.ts';
import type { OrtSession } from '../../src/adapters/transformers/runtime.ts';

/** Times what is put around the runtime's `session.run`. */
export class RunTimer {
  private readonly at = { start: 0, enter: 0, exit: 0, end: 0 };

  /** Of the last run: from its call to the runtime's own method, and from there back to the caller. */
  get milliseconds(): number {
    const { start, enter, exit, end } = this.at;
    return enter - start + (end - exit);
  }

  /** Notes the times of a session's `run` as it is now: what comes in front of it later lies between the inner and the outer side. */
  cover(session: OrtSession, side: 'inner' | 'outer'): Interception {
    const { at } = this;
    const [before, after] = side === 'inner' ? (['enter', 'exit'] as const) : (['start', 'end'] as const);
    return intercept(session, 'run', (run, interception) => async (...args) => {
      if (!interception.active) return run.apply(session, args);
      at[before] = performance.now();
      const outputs = await run.apply(session, args);
      at[after] = performance.now();
      return outputs;
    });
  }
}
