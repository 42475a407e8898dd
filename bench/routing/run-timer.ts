import { observe } from '../../lab/webgpu-calls/observe.ts';
import { type Interception, intercept } from '../../src/adapters/shared/interception.ts';
import type { OrtSession } from '../../src/adapters/transformers/runtime.ts';

/** Times what is put around the runtime's `session.run`. */
export class RunTimer {
  private readonly at = { start: 0, enter: 0, submitted: 0, exit: 0, end: 0 };

  /** Milliseconds of the last run outside the runtime's own method, before it and after it. */
  get milliseconds(): number {
    const { start, enter, exit, end } = this.at;
    return enter - start + (end - exit);
  }

  /** Milliseconds of the last run from the call of the runtime's own method until its last commands were submitted. */
  get encoding(): number {
    return this.at.submitted - this.at.enter;
  }

  /** Notes when commands are submitted. */
  coverQueue(queue: GPUQueue): Interception {
    return observe(queue, 'submit', () => {
      this.at.submitted = performance.now();
    });
  }

  /**
   * Notes when a session's `run` is entered and left. The inner side is covered before the plugin comes in front of the method, the outer
   * side after it: what lies between the two is the plugin's.
   */
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
