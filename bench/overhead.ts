// Microseconds of JavaScript per layer for the encoding of a decode step: 32 layers, all buffers the same from step to step.
import { performance } from 'node:perf_hooks';
import { createSiftAttention } from '../src/kernel/sift-attention.ts';
import { defaultPolicy, probabilityPolicy, uniformPolicy } from '../src/tracker/index.ts';
import { describeDevice, openDevice, startDawn } from './dawn.ts';
import { inForm } from './kernels.ts';

const LAYERS = 32;
const STEPS = 60;
const LENGTH = 1024;

const device = await openDevice(await startDawn());
const shape = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f16' } as const;
const make = (size: number) => ({ buffer: device.createBuffer({ size, usage: GPUBufferUsage.STORAGE }) });
const layers = Array.from({ length: LAYERS }, () => ({
  q: make(1024),
  keys: make(2 * LENGTH * 128),
  values: make(2 * LENGTH * 128),
  output: make(1024),
}));
console.log(describeDevice(device));
for (const [name, policy] of [
  ['dense', probabilityPolicy({ p: 0 })],
  ['two passes', inForm(uniformPolicy({ c: 1 }), 'two-pass')],
  ['one pass', uniformPolicy({ c: 1 })],
  ['learning', defaultPolicy({ warmup: 4096 })],
] as const) {
  const attention = await createSiftAttention(device, shape, { policy, layers: LAYERS });
  const times: number[] = [];
  for (let i = 0; i < STEPS; i++) {
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    const start = performance.now();
    const step = attention.beginStep({ length: LENGTH });
    for (const [layer, tensors] of layers.entries()) step.encode(pass, layer, tensors);
    times.push(((performance.now() - start) * 1000) / LAYERS);
    pass.end();
    device.queue.submit([commands.finish()]);
    await device.queue.onSubmittedWorkDone();
  }
  times.sort((a, b) => a - b);
  console.log(
    `${name}: ${times[STEPS / 2]!.toFixed(1)} us a layer (first step ${Math.max(...times).toFixed(1)})`,
  );
  attention.destroy();
}
process.exit();
