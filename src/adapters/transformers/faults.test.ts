import { afterAll, beforeAll, expect, test } from 'vitest';
import { presetPolicy } from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import { FaultyDevice } from '../../testing/faults/faulty-device.ts';
import { type GpuModel, gpuModel, promptOf } from '../../testing/transformers/gpu-session.ts';
import { enableTransformers } from './enable.ts';

const SHAPE = { queryHeads: 4, kvHeads: 2, headSize: 16, dtype: 'f32' } as const;
const load = (device: GPUDevice): GpuModel => gpuModel(device, { shape: SHAPE, layers: 2, seed: 5 });
let device: GPUDevice;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.destroy());

test('works', async () => {
  const stock = await load(device).generate(promptOf(70), 6);
  let total = 1;
  const wrong: string[] = [];
  for (let n = -1; n < total; n++) {
    const started = performance.now();
    const g = load(device);
    const faults = new FaultyDevice(device);
    let text = '';
    faults.plan = { buffer: (i) => i === n };
    const policy = { ...presetPolicy('balanced', 'shadow'), name: `fault ${n}` };
    const sift = await enableTransformers(g.model, { device, siftFrom: 0, policy }).catch((e) => String(e));
    const atEnabled = faults.counts.buffer;
    const ours = await g.generate(promptOf(70), 6).catch((e) => [String(e)]);
    let report: unknown;
    if (typeof sift !== 'string') {
      const r = await sift.report().catch((e) => String(e));
      report = typeof r === 'string' ? r : [r.steps, r.stockSteps, r.cache.kind, r.layers.length, r.reasons.map((x) => x.reason), r.cache.reasons];
      await sift.dispose();
    }
    await faults.settle();
    text = `${n} ${faults.failed} | enable ${typeof sift === 'string' ? sift : 'ok'} (${atEnabled}) | ${ours} | ${JSON.stringify(report)} | alive ${[...faults.alive].map((b) => b.label || b.size)} | ${faults.uncaptured.map((x) => x.slice(0, 100)).join(' // ')} ${(performance.now() - started).toFixed(0)}ms ${faults.counts.map}`;
    console.log(text);
    if (n === -1) total = faults.counts.buffer;
    faults.remove();
  }
  console.log(stock);
  expect(wrong).toEqual([]);
});
