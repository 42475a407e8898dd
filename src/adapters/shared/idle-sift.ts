import type { SiftError } from '../../errors.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { SiftReport } from '../../report.ts';
import { buildReport, stockCacheReport } from './report.ts';
import type { Sift } from './sift.ts';

/** Stands where sift cannot work: it is off for good, and says why. */
export class IdleSift implements Sift {
  readonly enabled = false;

  constructor(
    readonly policy: ThresholdPolicy,
    readonly unsupported: SiftError,
  ) {}

  /** @throws {SiftError} why it cannot */
  enable(): void {
    throw this.unsupported;
  }

  disable(): void {}

  dispose(): void {}

  report(): Promise<SiftReport> {
    const { code, message } = this.unsupported;
    return buildReport({
      state: 'off',
      lost: undefined,
      policy: this.policy,
      runtime: { name: 'unknown', version: null, tested: false },
      conversation: undefined,
      conversations: 0,
      crossover: [],
      kvCache: stockCacheReport('sift is off'),
      notes: [`${code}: ${message}`],
    });
  }
}
