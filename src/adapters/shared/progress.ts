/** What `enableSift` is doing, in this order. Stages whose result is known from before are short. */
export type EnableStage =
  /** Runs the model once, and sees which programs the runtime has for its attention. */
  | 'observing'
  /** Compiles our kernels, and holds them against an exact reference. */
  | 'compiling'
  /** Holds our attention against the runtime's own, in the model itself. */
  | 'comparing'
  /** Measures from which length on sifting is faster. */
  | 'calibrating'
  | 'done';

/** How far `enableSift` has come. */
export interface EnableProgress {
  stage: EnableStage;
  /** Share of the whole that is usually done when the stage begins, from 0 to 1. */
  fraction: number;
}

/** As on a GPU whose driver compiles the programs for the first time. */
const FRACTIONS: Record<EnableStage, number> = {
  observing: 0,
  compiling: 0.4,
  comparing: 0.65,
  calibrating: 0.9,
  done: 1,
};

/** Tells a caller which stage begins, and notes in the browser's performance timeline how long each took. */
export class EnablingProgress {
  private stage: EnableStage | undefined;
  private since = 0;

  constructor(private readonly onProgress: ((progress: EnableProgress) => void) | undefined) {}

  /** A stage begins, and the one before has ended. */
  begin(stage: EnableStage): void {
    this.end();
    this.stage = stage;
    this.since = performance.now();
    try {
      this.onProgress?.({ stage, fraction: FRACTIONS[stage] });
    } catch (error) {
      // An error of the caller's function is the caller's to see. It does not end the enabling.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** The last stage has ended. */
  end(): void {
    if (this.stage !== undefined && this.stage !== 'done')
      performance.measure(`sift-attention: ${this.stage}`, { start: this.since, end: performance.now() });
    this.stage = undefined;
  }
}
