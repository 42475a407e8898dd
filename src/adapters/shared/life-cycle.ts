import { SiftError } from '../../errors.ts';
import { deviceLost } from '../../kernel/gpu/allocate.ts';

/**
 * - `enabling`: what is needed is being found out; nothing is routed.
 * - `on`: decode steps are routed.
 * - `off`: the runtime does everything, as if the plugin were not there.
 * - `lost`: the GPU device is gone, and with it everything on it.
 * - `disposed`: over.
 */
export type LifeState = 'enabling' | 'on' | 'off' | 'lost' | 'disposed';

/** Pipelines and engines that have a life in progress. */
const living = new WeakMap<object, LifeCycle>();

/**
 * The life of a sift, the same for both runtimes: enabling → on ↔ off → disposed; the device may be lost at any time.
 *
 * What was set up on the way is taken down in reverse, whether enabling failed, the pipeline was disposed of, or the user did it.
 */
export class LifeCycle {
  private current: LifeState = 'enabling';
  private readonly undo: (() => void)[] = [];
  /** Pieces of work that are under way, and what waits for their end. */
  private working = 0;
  private readonly afterwards: (() => void)[] = [];
  /** Why the device is gone. */
  lost: GPUDeviceLostInfo | undefined;

  private constructor(
    private readonly what: string,
    /** Ends the enabling. */
    private readonly signal: AbortSignal | undefined,
  ) {}

  /**
   * Begins the life of a sift on a target, which may have one at a time.
   * @param what what the target is to the user: `pipeline`, `engine`
   * @param signal ends it, until it has begun to be on
   * @throws {SiftError} `INVALID_OPTION` if it has one, or is being given it by another call
   */
  static begin(target: object, what: string, signal?: AbortSignal): LifeCycle {
    const known = living.get(target);
    if (known) {
      throw new SiftError(
        'INVALID_OPTION',
        known.state === 'enabling'
          ? `This ${what} is being given sift by an earlier call of enableSift. Wait for it, and use the object that it returns.`
          : `This ${what} has sift already. Use the object that enableSift returned, or dispose of it first.`,
        { option: what },
      );
    }
    const life = new LifeCycle(what, signal);
    living.set(target, life);
    life.defer(() => living.delete(target));
    return life;
  }

  get state(): LifeState {
    return this.current;
  }

  /** Something to be done when the life ends; the last given is done first. */
  defer(undo: () => void): void {
    if (this.current === 'disposed') undo();
    else this.undo.push(undo);
  }

  /**
   * Does work on what the life owns: what is to be freed meanwhile is freed when the work is over, since the GPU must not be given
   * buffers that were destroyed.
   */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.working++;
    try {
      return await work();
    } finally {
      if (--this.working === 0) for (const free of this.afterwards.splice(0).reverse()) free();
    }
  }

  /** Something to be freed when the life ends, but not before the work that is under way is over. */
  own(free: () => void): void {
    this.defer(() => {
      if (this.working > 0) this.afterwards.push(free);
      else free();
    });
  }

  /** Notes when a device is lost. */
  watch(device: GPUDevice): void {
    void device.lost.then((info) => {
      if (this.current === 'disposed') return;
      this.lost = info;
      this.current = 'lost';
    });
  }

  /** @throws {SiftError} `DISPOSED` or `DEVICE_LOST` if the life is over or cannot go on; the signal's reason if enabling was aborted */
  check(): void {
    if (this.current === 'enabling') this.signal?.throwIfAborted();
    if (this.current === 'disposed') throw this.disposedError();
    if (this.current === 'lost') throw deviceLost(this.lost!);
  }

  /** Enabling is done. */
  start(): void {
    this.check();
    this.current = 'on';
  }

  /** @throws {SiftError} `DISPOSED` or `DEVICE_LOST` */
  enable(): void {
    if (this.current === 'disposed')
      throw new SiftError('DISPOSED', 'This sift was disposed of. Call enableSift again.');
    if (this.current === 'lost') throw deviceLost(this.lost!);
    this.current = 'on';
  }

  disable(): void {
    if (this.current === 'on') this.current = 'off';
  }

  dispose(): void {
    if (this.current === 'disposed') return;
    this.current = 'disposed';
    for (const undo of this.undo.splice(0).reverse()) undo();
  }

  /**
   * Enabling has failed: takes everything down.
   * @returns what to throw: the signal's reason if it was aborted; why the life ended, if that came first; else the error, as a SiftError
   */
  fail(error: unknown): unknown {
    const { current } = this;
    const state = current === 'lost' ? deviceLost(this.lost!) : undefined;
    this.dispose();
    if (this.signal?.aborted) return this.signal.reason;
    if (current === 'disposed') return this.disposedError(error);
    if (state) return state;
    if (error instanceof SiftError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new SiftError('UNSUPPORTED_MODEL', `Sift could not be enabled: ${message}`, { cause: error });
  }

  private disposedError(cause?: unknown): SiftError {
    return new SiftError('DISPOSED', `The ${this.what} was disposed of meanwhile.`, { cause });
  }
}
