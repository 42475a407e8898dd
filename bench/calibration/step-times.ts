import { CalibrationInputs } from '../../src/kernel/calibration/calibration-inputs.ts';
import { StepTimer } from '../../src/kernel/calibration/step-timer.ts';
import type { AttentionEncoder } from '../../src/kernel/step/encoder.ts';
import { planStep, type ThresholdPolicy } from '../../src/policy/index.ts';
import { summarise, type Timing } from '../timing/timing.ts';

/** Numbers of workgroups that a calibration found to be the fastest. */
export type FoundTuning = { workgroups: number; siftWorkgroups: number };

/** Microseconds of a call at one length. */
export interface StepTimes {
  length: number;
  dense: Timing;
  sift: Timing;
  /** With the numbers of workgroups that the last calibration found. */
  tuned: { dense: Timing; sift: Timing };
}

/**
 * Times dense and sifted steps in turns, with the usual tuning and with another.
 *
 * @returns undefined if the device has no room for a cache of this length
 */
export async function stepTimes(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  length: number,
  tuned: FoundTuning,
  repeat: number,
): Promise<StepTimes | undefined> {
  const inputs = await CalibrationInputs.create(encoder, policy, length, undefined, []).catch(
    () => undefined,
  );
  if (!inputs) return undefined;
  const timer = await StepTimer.create(encoder.resources.device);
  const usual = encoder.tuning;
  const times: number[][] = [[], [], [], []];
  for (let round = -1; round < repeat; round++) {
    for (let variant = 0; variant < 4; variant++) {
      encoder.tuning = variant < 2 ? usual : { ...usual, ...tuned };
      const plan = { ...planStep(inputs.policy, 2), dense: variant % 2 === 0 };
      const step = inputs.prepare(plan);
      const calls = 16;
      const time = await timer.time((pass) => {
        for (let call = 0; call < calls; call++) inputs.encode(pass, step, call);
      });
      if (round >= 0) times[variant]!.push((1000 * time) / calls);
    }
  }
  encoder.tuning = usual;
  timer.destroy();
  inputs.destroy();
  encoder.resources.scratch.collect();
  const [dense, sift, tunedDense, tunedSift] = times.map((samples) => summarise(samples));
  return { length, dense: dense!, sift: sift!, tuned: { dense: tunedDense!, sift: tunedSift! } };
}
