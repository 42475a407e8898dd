import type { Comparison } from '../../comparison.ts';
import type { SiftError } from '../../errors.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { ReportOptions, SiftReport, SiftSummary } from '../../report.ts';
import { buildReport, reportAs, stockCacheReport } from './report.ts';
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

  /** @throws {SiftError} why sift cannot work */
  async compare(): Promise<Comparison> {
    throw this.unsupported;
  }

  /** @throws {SiftError} why sift cannot work */
  async inspect(): Promise<() => void> {
    throw this.unsupported;
  }

  report(options: ReportOptions = {}): Promise<SiftReport & SiftSummary> {
    return reportAs(options, () => this.fullReport());
  }

  private fullReport(): Promise<SiftReport> {
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
