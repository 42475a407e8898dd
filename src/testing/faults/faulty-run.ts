import { expect } from 'vitest';
import type { EnableProgress } from '../../adapters/shared/progress.ts';
import type { Sift } from '../../adapters/shared/sift.ts';
import { enableTransformers } from '../../adapters/transformers/enable.ts';
import type { SiftError } from '../../errors.ts';
import type { SiftOptions } from '../../options.ts';
import { presetPolicy, type ThresholdPolicy } from '../../policy/index.ts';
import type { SiftReport } from '../../report.ts';
import { testDevice } from '../device.ts';
import { type GpuModel, gpuModel, promptOf } from '../transformers/gpu-model.ts';
import type { GpuSession, RunOfSession } from '../transformers/gpu-session.ts';
import { type FaultKind, type FaultPlan, FaultyDevice } from './faulty-device.ts';

export const SHAPE = { queryHeads: 4, kvHeads: 2, headSize: 16, dtype: 'f32' } as const;
/** The second turn outgrows the cache of the first. */
const PROMPT = promptOf(40);
const FURTHER = promptOf(24).reverse();
const TOKENS = 5;

/** A model whose tokens depend on all of its keys and values, always the same. */
export const loadFaulty = (device: GPUDevice): GpuModel =>
  gpuModel(device, { shape: SHAPE, layers: 2, seed: 5 });

/** The device that the tests of a worker share, and what generating without the plugin gives on it. */
let shared: Promise<{ device: GPUDevice; stock: StockRun }> | undefined;

export function sharedDevice(): Promise<{ device: GPUDevice; stock: StockRun }> {
  shared ??= (async () => {
    const device = await testDevice();
    return { device, stock: await stockRun(device) };
  })();
  return shared;
}

let policies = 0;

/**
 * A policy that runs the kernels of a preset with a shadow, and keeps all rows that could change a token. It has a name of its own, so
 * that the kernels are tested again on a device that has tested them.
 */
export function untested(): ThresholdPolicy {
  const target = { kind: 'uniform', c: 1e-4 } as const;
  return { ...presetPolicy('balanced', 'shadow'), target, name: `untested ${policies++}` };
}

/** What came of enabling sift, generating and reporting, with faults on the way. */
export interface FaultyOutcome {
  /** Why sift was not enabled. */
  refused: SiftError | undefined;
  /** The new tokens, or the error of the generation. */
  tokens: number[] | Error;
  /** The logits of each run of the generation. */
  logits: Float32Array[];
  report: SiftReport | undefined;
  counts: Readonly<Record<FaultKind, number>>;
  /** Calls of each kind when sift was enabled. */
  enabling: Readonly<Record<FaultKind, number>>;
  failed: readonly string[];
  uncaptured: readonly string[];
  /** Labels of buffers that were left behind. */
  leaked: readonly string[];
  /** Why sift could not be enabled again after the generation. */
  afterwards: SiftError | undefined;
}

/**
 * Enables sift on a new model, generates in two turns on one cache, reports and disposes while a plan makes calls of ours fail.
 * @param options by default the policy with a shadow, which has most buffers, and sifts at any length
 * @param prepare sees the session before anything is done with it
 * @param use does something with the sift, once it is enabled
 */
export async function faultyRun(
  device: GPUDevice,
  plan: FaultPlan,
  options: SiftOptions = { policy: untested() },
  prepare?: (session: GpuSession) => void,
  use?: (sift: Sift) => Promise<unknown>,
): Promise<FaultyOutcome> {
  const { model, session, converse } = loadFaulty(device);
  prepare?.(session);
  const faults = new FaultyDevice(device);
  faults.plan = plan;
  try {
    const enabled = await enableTransformers(model, { device, siftFrom: 0, ...options }).catch(
      (error: unknown) => error as SiftError,
    );
    const sift = 'report' in enabled ? enabled : undefined;
    const enabling = { ...faults.counts };
    if (sift) await use?.(sift);
    session.seen.length = 0;
    const tokens = await converse(PROMPT, FURTHER, TOKENS).catch((error: unknown) => error as Error);
    const report = await sift?.report();
    const afterwards = sift && errorOf(() => sift.enable());
    sift?.dispose();
    await faults.settle();
    return {
      refused: sift ? undefined : (enabled as SiftError),
      tokens,
      logits: session.seen,
      report,
      counts: faults.counts,
      enabling,
      failed: faults.failed,
      uncaptured: faults.uncaptured,
      leaked: [...faults.alive].map(({ label, size }) => label || `${size} bytes`),
      afterwards,
    };
  } finally {
    faults.remove();
  }
}

function errorOf(work: () => void): SiftError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error as SiftError;
  }
}

/** What generating gives without the plugin. */
export type StockRun = Pick<FaultyOutcome, 'tokens' | 'logits'> & { prompt: readonly number[] };

/** The same without the plugin. */
export async function stockRun(device: GPUDevice): Promise<StockRun> {
  const { session, converse } = loadFaulty(device);
  return { tokens: await converse(PROMPT, FURTHER, TOKENS), logits: session.seen, prompt: PROMPT };
}

/** Enables sift on a device that is lost when a stage of that begins; the error. */
export async function loseWhile(
  device: GPUDevice,
  stage: EnableProgress['stage'],
  options: SiftOptions = { quality: 'exact', siftFrom: 0 },
): Promise<unknown> {
  const { model } = loadFaulty(device);
  const onProgress = (progress: EnableProgress) => {
    if (progress.stage === stage) device.destroy();
  };
  return enableTransformers(model, { device, onProgress, ...options }).catch((error: unknown) => error);
}

/**
 * Sees the runs of a generation, its prompt and what follows. The runs of enabling are longer than that and are not seen.
 */
export const generating = (see: (run: RunOfSession) => void) => {
  let begun = false;
  return (run: RunOfSession) => {
    begun ||= run.newTokens === PROMPT.length && run.length === PROMPT.length;
    if (begun) see(run);
  };
};

/** The errors that enabling may end with where the device refuses something. */
const REFUSALS = ['OUT_OF_MEMORY', 'SELF_TEST_FAILED', 'DEVICE_LOST'];

/**
 * A fault has harmed nobody: the tokens are those without it, no error reached the page or the runtime's commands, nothing was left
 * behind, and if sift was refused, it was with an error that says why.
 */
export function expectHarmless(
  outcome: FaultyOutcome,
  { tokens, logits }: Pick<FaultyOutcome, 'tokens' | 'logits'>,
): void {
  const { failed, refused, uncaptured, leaked } = outcome;
  const faults = failed.join(', ');
  expect({ faults, tokens: outcome.tokens, uncaptured, leaked }).toEqual({
    ...{ faults, tokens, uncaptured: [], leaked: [] },
  });
  // What went wrong in the first of two runs of a step is not in its logits.
  const last = outcome.logits.at(-1)!;
  const bound = 1e-3 * Math.max(...last.map(Math.abs));
  for (const [i, value] of logits.at(-1)!.entries()) expect(Math.abs(value - last[i]!)).toBeLessThan(bound);
  if (refused)
    expect([faults, refused.name, REFUSALS.includes(refused.code)]).toEqual([faults, 'SiftError', true]);
}
