import { ERROR_BOUND } from '../../src/kernel/proof/test-cases.ts';
import { canUseSubgroups } from '../../src/kernel/proof/variants.ts';
import type { DType } from '../../src/kernel/shape.ts';
import { tuningOf } from '../../src/kernel/step/tuning.ts';
import { describeCase, drawCase, drawShape, runCase } from '../../src/testing/conformance.ts';
import { THRESHOLD_TARGETS, wrongThresholds } from '../../src/testing/thresholds.ts';

/** The worst errors of a number of drawn conformance cases. */
export interface ConformanceResult {
  dtype: DType;
  subgroups: boolean;
  cases: number;
  worst: number;
  worstCase: string;
  /** Cases over the bound. */
  failures: string[];
  /** Cases whose counts of kept rows were not the reference's. */
  countsDiffer: string[];
}

/** Runs cases of src/testing/conformance.ts for each element type that the device has, with and without subgroups. */
export async function verifyConformance(device: GPUDevice, cases: number): Promise<ConformanceResult[]> {
  const results: ConformanceResult[] = [];
  for (const dtype of ['f16', 'f32'] as const) {
    for (const subgroups of canUseSubgroups(device) ? [true, false] : [false]) {
      const result: ConformanceResult = {
        ...{ dtype, subgroups, cases, worst: 0, worstCase: '', failures: [], countsDiffer: [] },
      };
      for (let seed = 1; seed <= cases; seed++) {
        // Four cases have one shape, since compiling its kernels takes longer than running them.
        const c = drawCase(seed, drawShape(Math.ceil(seed / 4), dtype), {
          subgroups,
          onePass: subgroups && seed % 2 === 0,
        });
        const { error, countsAgree } = await runCase(device, c);
        if (!countsAgree) result.countsDiffer.push(describeCase(c));
        if (!(error < ERROR_BOUND[dtype]))
          result.failures.push(`${describeCase(c)}: ${error.toExponential(2)}`);
        if (!(error <= result.worst)) {
          result.worst = error;
          result.worstCase = describeCase(c);
        }
      }
      results.push(result);
    }
  }
  return results;
}

/** Lengths of the caches whose learned thresholds are held against f64. A workgroup holds all keys of the shorter one. */
const THRESHOLD_LENGTHS = [4097, 100_003];

/** The learned thresholds that are not the exact ones, in words, for all targets of src/testing/thresholds.ts. */
export async function verifyThresholds(device: GPUDevice): Promise<string[]> {
  const wrong: string[] = [];
  for (const subgroups of canUseSubgroups(device) ? [true, false] : [false]) {
    const tuning = { learnWorkgroup: tuningOf(device).learnWorkgroup };
    for (const target of THRESHOLD_TARGETS) {
      const list = await wrongThresholds(device, target, THRESHOLD_LENGTHS, subgroups, tuning);
      wrong.push(...list.map((text) => `${JSON.stringify(target)}, subgroups ${subgroups}: ${text}`));
    }
  }
  return wrong;
}
