// Calibrates several times and says from which length on sifting is found to pay. Beside that it times dense and sifted steps at lengths
// far beyond those that a calibration measures.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { calibrate } from '../src/kernel/calibration/calibrate.ts';
import { fastestVariant } from '../src/kernel/proof/variants.ts';
import type { AttentionShape, DType } from '../src/kernel/shape.ts';
import { AttentionEncoder, createStepResources } from '../src/kernel/step/encoder.ts';
import { learnedPolicy, presetPolicy, type ThresholdPolicy } from '../src/policy/index.ts';
import { type FoundTuning, type StepTimes, stepTimes } from './calibration/step-times.ts';
import { describeDevice, openDevice, startGpu } from './timing/device.ts';

const { values: options } = parseArgs({
  options: {
    heads: { type: 'string', default: '32' },
    'kv-heads': { type: 'string', default: '8' },
    'head-size': { type: 'string', default: '64,128' },
    dtype: { type: 'string' },
    lengths: { type: 'string', default: '1024,4096,16384,32768,65536,131072,262144' },
    /** How often to calibrate with timestamps, and by wall clock. */
    calibrations: { type: 'string', default: '3' },
    repeat: { type: 'string', default: '15' },
    json: { type: 'string' },
  },
});
const list = (text: string) => text.split(',').map(Number);

const gpu = await startGpu();
const withStamps = await openDevice(gpu);
const withoutStamps = await openDevice(gpu, (name) => name !== 'timestamp-query');

/** Calibrates several times on a device, and says what was found. */
async function calibrateOn(device: GPUDevice, shape: AttentionShape, policy: ThresholdPolicy) {
  const variant = fastestVariant(device, shape);
  const encoder = await AttentionEncoder.create(await createStepResources(device), shape, variant, policy);
  const calibrations = [];
  for (let i = 0; i < Number(options.calibrations); i++) {
    const calibration = await calibrate(encoder, policy);
    const samples = calibration.samples
      .map((s) => `${s.length}: ${s.dense.toFixed(1)} / ${s.sift.toFixed(1)}`)
      .join(', ');
    console.log(
      `  ${device === withStamps ? 'timestamps' : 'wall clock'}: from ${calibration.siftFrom} keys, ${calibration.workgroups} and ${calibration.siftWorkgroups} workgroups, ${calibration.milliseconds.toFixed(0)} ms; dense / sift us ${samples}`,
    );
    calibrations.push({ timestamps: device === withStamps, ...calibration });
  }
  return { encoder, calibrations };
}

/** Times steps at every length, and says how long they took. */
async function timeLengths(encoder: AttentionEncoder, policy: ThresholdPolicy, tuned: FoundTuning) {
  const rows: StepTimes[] = [];
  for (const length of list(options.lengths)) {
    const row = await stepTimes(encoder, policy, length, tuned, Number(options.repeat));
    if (!row) continue;
    rows.push(row);
    console.log(
      `  ${length} keys: dense ${row.dense.median.toFixed(1)}, sift ${row.sift.median.toFixed(1)}, ratio ${(row.dense.median / row.sift.median).toFixed(3)}; tuned ${row.tuned.dense.median.toFixed(1)} and ${row.tuned.sift.median.toFixed(1)}`,
    );
  }
  return rows;
}

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
    const byWallClock = await calibrateOn(withoutStamps, shape, policy);
    const { encoder, calibrations } = await calibrateOn(withStamps, shape, policy);
    const found = [...byWallClock.calibrations, ...calibrations];
    const last = found.at(-1) ?? { workgroups: 0, siftWorkgroups: 0 };
    const rows = await timeLengths(encoder, policy, last);
    results.push({ gpu: describeDevice(withStamps), shape, policy: name, calibrations: found, rows });
  }
}
if (options.json) {
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);
}
process.exit();
