// How much of a decode step's commands is the same from step to step, in Node: node .cache/bench/repeat.mjs --help
import { parseArgs } from 'node:util';
import { runtimeDevice } from '../lab/decoding/decoder.ts';
import { copySharedWrites } from '../lab/node/shared-memory.ts';
import type { RandomDtype, ShapeName } from '../lab/random-model/index.ts';
import { CallRecorder } from '../lab/webgpu-calls/call-recorder.ts';
import { enableSift, uniformPolicy } from '../src/index.ts';
import { openRandomDecoder } from './repeat/decoder.ts';
import { repeatReport } from './repeat/report.ts';
import { REPEAT_VARIANTS, recordSteps, timeSteps } from './repeat/variants.ts';
import { describeDevice, loadRuntime, startGpu } from './timing/device.ts';
import { summarise } from './timing/timing.ts';

const USAGE = `usage: repeat.mjs [options]
  --shape NAME     small, llama-3.2-1b or qwen3-0.6b     [small]
  --layers N       layers, instead of the shape's
  --dtype q4|q4f16                                       [q4]
  --prompt N       tokens before the first step          [70]
  --settle N       decode steps that do not count        [8]
  --steps N        decode steps that are recorded        [48]
  --timed N        decode steps that are timed           [16]`;

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', default: 'small' },
    layers: { type: 'string' },
    dtype: { type: 'string', default: 'q4' },
    prompt: { type: 'string', default: '70' },
    settle: { type: 'string', default: '8' },
    steps: { type: 'string', default: '48' },
    timed: { type: 'string', default: '16' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(USAGE);
  process.exit();
}
await startGpu();
const recorder = new CallRecorder();
copySharedWrites();
const ort = await loadRuntime();
const { decoder, layers } = await openRandomDecoder(ort, {
  shape: options.shape as ShapeName,
  layers: options.layers === undefined ? undefined : Number(options.layers),
  dtype: options.dtype as RandomDtype,
  positions: 4096,
});
const device = await runtimeDevice(ort.env);
// The plugin must see the runtime compile its attention, so that it is enabled before the turn of stock.
const sift = await enableSift(decoder.model, {
  device,
  policy: uniformPolicy({ c: 1 }),
  siftFrom: 0,
  cache: 'shared',
});
console.log(
  `${describeDevice(device)}; onnxruntime-web ${ort.env.versions?.web}; ${options.shape}, ${layers} layers, ${options.dtype}`,
);
const run = { prompt: Number(options.prompt), settle: Number(options.settle) };
const ms = (times: readonly number[]) => {
  const { median, p10 } = summarise(times);
  return `${median.toFixed(1)} (quickest tenth ${p10.toFixed(1)})`;
};
for (const variant of REPEAT_VARIANTS) {
  if (variant === 'stock') sift.disable();
  else sift.enable();
  const steps = await recordSteps(decoder, recorder, { ...run, steps: Number(options.steps) });
  console.log(`\n## ${variant}\n\n${repeatReport(steps)}`);
  const times = await timeSteps(decoder, device, { ...run, steps: Number(options.timed) });
  console.log(
    `\nms until all is submitted: ${ms(times.encode)}; until the logits are there: ${ms(times.whole)}`,
  );
}
process.exit();
