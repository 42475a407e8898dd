import { SiftError } from '../../errors.ts';
import { shadowMethod } from '../shadow.ts';
import type { OrtSession, OrtTensor } from './runtime.ts';

export type Tensors = Record<string, OrtTensor>;

/** A turn of the session that the plugin waits for. */
interface Waiting {
  /** Input tensors that tell the plugin's own run from the user's. */
  marks: ReadonlySet<OrtTensor>;
  take(feeds: Tensors): Promise<void>;
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
  /** Called before the session is released. */
  onRelease: (() => void) | undefined;
  /** The session's own `run`. */
  readonly run: OrtSession['run'];
  private released = false;
  private waiting: Waiting | undefined;
  /** Settles when the turn in progress is over. */
  private busy: Promise<void> | undefined;
  private readonly restore: (() => void)[];

  constructor(session: OrtSession) {
    this.run = session.run.bind(session);
    const release = session.release.bind(session);
    this.restore = [
      shadowMethod(session, 'run', (feeds, ...rest) => this.enter(feeds, rest)),
      shadowMethod(session, 'release', async () => {
        this.released = true;
        this.onRelease?.();
        // The runtime must not release a session that is running.
        await this.busy;
        return release();
      }),
    ];
  }

  remove(): void {
    for (const restore of this.restore) restore();
  }

  /**
   * Waits until the session's next run would begin, and does `work` in its place: no other run of the page begins before `work` is
   * done.
   *
   * @param trigger makes the library run the session
   * @param marks input tensors of that run, by which it is known
   * @param work gets the inputs of that run; its own runs go through {@link trial}
   * @throws {SiftError} `DISPOSED` if the session was released meanwhile; what `work` throws; else what `trigger` throws
   */
  async turn<T>(
    trigger: () => Promise<unknown>,
    marks: readonly OrtTensor[],
    work: (feeds: Tensors) => Promise<T>,
  ): Promise<T> {
    let result: { value: T } | { error: unknown } | undefined;
    this.waiting = {
      marks: new Set(marks),
      take: async (feeds) => {
        try {
          this.checkReleased();
          result = { value: await work(feeds) };
        } catch (error) {
          result = { error };
        }
      },
    };
    try {
      await trigger();
    } catch (error) {
      // Without outputs the library may fail, once the work is done.
      result ??= { error };
    } finally {
      this.waiting = undefined;
    }
    if (!result) throw new SiftError('UNSUPPORTED_MODEL', 'The model did not run its decoder.');
    if ('error' in result) throw result.error;
    return result.value;
  }

  /**
   * A run of the plugin's own, within a turn.
   * @throws {SiftError} `DISPOSED` if the session was released meanwhile
   */
  trial(feeds: Tensors, ...rest: unknown[]): Promise<Tensors> {
    this.checkReleased();
    return this.run(feeds, ...rest);
  }

  /** @throws {SiftError} `DISPOSED` if the session was released */
  checkReleased(): void {
    if (this.released)
      throw new SiftError('DISPOSED', 'The pipeline was disposed of while sift was being enabled.');
  }

  private async enter(feeds: Tensors, rest: unknown[]): Promise<Tensors> {
    const { waiting } = this;
    if (waiting && Object.values(feeds).some((tensor) => waiting.marks.has(tensor))) {
      this.waiting = undefined;
      this.busy = waiting.take(feeds);
      await this.busy;
      this.busy = undefined;
      return {};
    }
    return this.route ? this.route(feeds, rest) : this.run(feeds, ...rest);
  }
}
