// The crossover that calibration finds, several times over, beside dense and sifted times at lengths far beyond what it measures.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { calibrate } from '../src/kernel/calibration/calibrate.ts';
import { CalibrationInputs } from '../src/kernel/calibration/calibration-inputs.ts';
import { StepTimer } from '../src/kernel/calibration/step-timer.ts';
import { fastestVariant } from '../src/kernel/proof/variants.ts';
import type { DType } from '../src/kernel/shape.ts';
import { AttentionEncoder, createStepResources } from '../src/kernel/step/encoder.ts';
import { learnedPolicy, planStep, presetPolicy, type ThresholdPolicy } from '../src/policy/index.ts';
import { describeDevice, openDevice, startDawn } from './dawn.ts';
import { summarise, type Timing } from './timing.ts';

const { values: options } = parseArgs({
  options: {
    heads: { type: 'string', default: '32' },
    'kv-heads': { type: 'string', default: '8' },
    'head-size': { type: 'string', default: '64,128' },
    dtype: { type: 'string' },
    lengths: { type: 'string', default: '1024,4096,16384,32768,65536,131072,262144' },
    /** Calibrations of each kind. */
    calibrations: { type: 'string', default: '3' },
    repeat: { type: 'string', default: '15' },
    json: { type: 'string' },
  },
});
const list = (text: string) => text.split(',').map(Number);

interface Truth {
  length: number;
  dense: Timing;
  sift: Timing;
  /** With the numbers of workgroups that the last calibration found. */
  tuned: { dense: Timing; sift: Timing };
}

/** Microseconds of a call, dense and sifted in turns, with two tunings. */
async function truth(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  length: number,
  tuned: { workgroups: number; siftWorkgroups: number },
): Promise<Truth | undefined> {
  const inputs = await CalibrationInputs.create(encoder, policy, length, undefined);
  if (!inputs) return undefined;
  const timer = new StepTimer(encoder.resources.device);
  const usual = encoder.tuning;
  const times: number[][] = [[], [], [], []];
  for (let round = -1; round < Number(options.repeat); round++) {
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

const gpu = await startDawn();
const withStamps = await openDevice(gpu);
const withoutStamps = await openDevice(gpu, (name) => name !== 'timestamp-query');
const dtype = (options.dtype ?? (withStamps.features.has('shader-f16') ? 'f16' : 'f32')) as DType;
console.log(`${describeDevice(withStamps)}, ${dtype}`);
const results: object[] = [];
for (const headSize of list(options['head-size'])) {
  const shape = { queryHeads: Number(options.heads), kvHeads: Number(options['kv-heads']), headSize, dtype };
  for (const [name, policy] of [
    ['balanced', presetPolicy('balanced')],
    ['learned', learnedPolicy()],
  ] as const) {
    console.log(`\n${shape.queryHeads}/${shape.kvHeads} heads of ${headSize}, ${name}`);
    const found: object[] = [];
    let last = { workgroups: 0, siftWorkgroups: 0 };
    let encoder: AttentionEncoder | undefined;
    for (const device of [withoutStamps, withStamps]) {
      const variant = fastestVariant(device, shape);
      encoder = await AttentionEncoder.create(createStepResources(device), shape, variant, policy);
      for (let i = 0; i < Number(options.calibrations); i++) {
        const calibration = await calibrate(encoder, policy);
        last = calibration;
        const samples = calibration.samples
          .map((s) => `${s.length}: ${s.dense.toFixed(1)} / ${s.sift.toFixed(1)}`)
          .join(', ');
        console.log(
          `  ${device === withStamps ? 'timestamps' : 'wall clock'}: from ${calibration.siftFrom} keys, ${calibration.workgroups} and ${calibration.siftWorkgroups} workgroups, ${calibration.milliseconds.toFixed(0)} ms; dense / sift us ${samples}`,
        );
        found.push({ timestamps: device === withStamps, ...calibration });
      }
    }
    const rows: Truth[] = [];
    for (const length of list(options.lengths)) {
      const row = await truth(encoder!, policy, length, last);
      if (!row) continue;
      rows.push(row);
      console.log(
        `  ${length} keys: dense ${row.dense.median.toFixed(1)}, sift ${row.sift.median.toFixed(1)}, ratio ${(row.dense.median / row.sift.median).toFixed(3)}; tuned ${row.tuned.dense.median.toFixed(1)} and ${row.tuned.sift.median.toFixed(1)}`,
      );
    }
    results.push({ gpu: describeDevice(withStamps), shape, policy: name, calibrations: found, rows });
  }
}
if (options.json) {
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);
}
process.exit();
