import { SiftError } from '../../errors.ts';
import { intercept } from '../shared/interception.ts';
import type { LifeCycle } from '../shared/life-cycle.ts';
import type { OrtSession, OrtTensor } from './runtime.ts';

export type Tensors = Record<string, OrtTensor>;

/** A turn of the session that the plugin waits for. */
interface Waiting {
  /** Input tensors that tell the plugin's own run from the user's. */
  marks: ReadonlySet<OrtTensor>;
  /** Resolves with what the library gets as the outputs of that run; never rejects. */
  take(feeds: Tensors): Promise<Tensors>;
}

/**
 * What the plugin puts in front of one session's `run` and `release`, from the moment it is being enabled until it is disposed of.
 *
 * transformers.js runs all sessions of a page one after another, on one promise: a run that is rejected ends every pipeline of the
 * page. What the plugin runs for itself therefore never rejects, and happens while the page waits for it: see {@link turn}.
 */
export class SessionHook {
  /** Takes the user's runs; undefined: they go to the runtime as they are. */
  route: ((feeds: Tensors, rest: unknown[]) => Promise<Tensors>) | undefined;
  /** The session's own `run`. */
  readonly run: OrtSession['run'];
  private waiting: Waiting | undefined;
  /** Settles when the run of the turn in progress is over, or will not come. */
  private busy: Promise<unknown> | undefined;

  /** @param life ends with the session, and takes the hook away with it */
  constructor(
    session: OrtSession,
    private readonly life: LifeCycle,
  ) {
    this.run = session.run.bind(session);
    const run = intercept(
      session,
      'run',
      (original, interception) =>
        (feeds, ...rest) =>
          interception.active ? this.enter(feeds, rest) : original.call(session, feeds, ...rest),
    );
    const release = intercept(session, 'release', (original) => async () => {
      life.dispose();
      // The runtime must not release a session that is running, or that the library is about to run: that breaks its memory for good.
      await this.busy;
      return original.call(session);
    });
    life.defer(() => {
      const remove = () => {
        run.remove();
        release.remove();
      };
      // A run of the plugin's that is still to come must not reach the runtime.
      if (this.busy) this.busy.then(remove);
      else remove();
    });
  }

  /**
   * Waits until the session's next run would begin, and does `work` in its place: no other run of the page begins before `work` is
   * done.
   *
   * @param trigger makes the library run the session
   * @param marks input tensors of that run, by which it is known
   * @param work gets the inputs of that run; its own runs go through {@link trial}
   * @param outputs what the library gets as the outputs of that run; default: none
   * @throws {SiftError} `DISPOSED` or `DEVICE_LOST` if that happened meanwhile; what `work` throws; else what `trigger` throws
   */
  async turn<T>(
    trigger: () => Promise<unknown>,
    marks: readonly OrtTensor[],
    work: (feeds: Tensors) => Promise<T>,
    outputs?: (value: T) => Tensors,
  ): Promise<T> {
    this.life.check();
    let result: { value: T } | { error: unknown } | undefined;
    this.waiting = {
      marks: new Set(marks),
      take: async (feeds) => {
        try {
          this.life.check();
          const value = await work(feeds);
          result = { value };
          return outputs?.(value) ?? {};
        } catch (error) {
          result = { error };
          return {};
        }
      },
    };
    // Without outputs the library may fail, once the work is done.
    this.busy = trigger().catch((error) => {
      result ??= { error };
    });
    await this.busy;
    this.waiting = this.busy = undefined;
    this.life.check();
    if (!result) throw new SiftError('UNSUPPORTED_MODEL', 'The model did not run its decoder.');
    if ('error' in result) throw result.error;
    return result.value;
  }

  /**
   * A run of the plugin's own, within a turn.
   * @throws {SiftError} `DISPOSED` or `DEVICE_LOST` if that happened meanwhile
   */
  trial(feeds: Tensors, ...rest: unknown[]): Promise<Tensors> {
    this.life.check();
    return this.run(feeds, ...rest);
  }

  private async enter(feeds: Tensors, rest: unknown[]): Promise<Tensors> {
    const { waiting } = this;
    if (waiting && Object.values(feeds).some((tensor) => waiting.marks.has(tensor))) {
      this.waiting = undefined;
      return waiting.take(feeds);
    }
    return this.route ? this.route(feeds, rest) : this.run(feeds, ...rest);
  }
}
