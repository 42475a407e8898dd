import { median } from './median.ts';

/** Steps whose times are kept: the newest. */
const KEPT = 64;

/** The times of a generation's newest decode steps. Noting one takes no memory. */
export class StepTimes {
  private readonly milliseconds = new Float64Array(KEPT);
  private count = 0;
  /** When the step before ended; negative: this is the first. */
  private ended = -1;

  /** A decode step begins. */
  begin(): void {
    if (this.ended < 0) this.ended = performance.now();
  }

  /** It has ended. It took the time since the one before had ended: what the runtime and the app did in between was part of it. */
  end(): void {
    const now = performance.now();
    this.milliseconds[this.count++ % KEPT] = now - this.ended;
    this.ended = now;
  }

  /** Another generation begins. */
  reset(): void {
    this.count = 0;
    this.ended = -1;
  }

  /** Steps that the median is over. */
  get steps(): number {
    return Math.min(this.count, KEPT);
  }

  /** The median, in milliseconds; null before the first step. */
  get median(): number | null {
    return median(this.milliseconds.subarray(0, this.steps));
  }
}
