import type { SiftError } from '../../errors.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { SiftReport } from '../../report.ts';
import type { LifeCycle } from './life-cycle.ts';

/** Sifted attention on one pipeline or engine. Every method may be awaited. */
export interface Sift {
  /** Sifts again after {@link disable}. */
  enable(): void;
  /** Back to exactly the stock runtime. */
  disable(): void;
  /** What the plugin did, for the latest conversation. Reads back from the GPU. */
  report(): Promise<SiftReport>;
  /** Disables and frees everything. Also done when a pipeline is disposed of. */
  dispose(): void;
  /** The policy in use. */
  readonly policy: ThresholdPolicy;
  readonly enabled: boolean;
  /** Why sift cannot work here, where `onUnsupported: 'ignore'` was asked for; null if it can. */
  readonly unsupported: SiftError | null;
}

/** What the sifts of both runtimes have in common: their state is that of a {@link LifeCycle}. */
export abstract class LivingSift implements Sift {
  readonly unsupported = null;

  constructor(
    readonly policy: ThresholdPolicy,
    protected readonly life: LifeCycle,
  ) {}

  get enabled(): boolean {
    return this.life.state === 'on';
  }

  enable(): void {
    this.life.enable();
  }

  disable(): void {
    this.life.disable();
  }

  dispose(): void {
    this.life.dispose();
  }

  abstract report(): Promise<SiftReport>;
}
