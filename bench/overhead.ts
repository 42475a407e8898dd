// What the plugin costs in JavaScript per layer, with 32 layers. First the encoding of our kernels alone, then everything that the plugin
// puts between a runtime and WebGPU. It runs in Node over Dawn, and with --browser in Chromium, too.
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { copySharedWrites } from '../lab/node/shared-memory.ts';
import { createSiftAttention } from '../src/kernel/sift-attention.ts';
import { learnedPolicy, probabilityPolicy, uniformPolicy } from '../src/policy/index.ts';
import { inForm } from './kernels/our-attention.ts';
import { measureRouting, type RoutingVariant, routingMarkdown } from './routing/measure.ts';
import { syntheticDecoder } from './step/step-model.ts';
import { describeDevice, loadRuntime, openDevice, startGpu } from './timing/device.ts';

const LAYERS = 32;
/** Keys in the cache. They are few, since only the JavaScript counts, and without a GPU the rest takes long. */
const LENGTH = 64;

const { values: options } = parseArgs({
  options: {
    browser: { type: 'boolean', default: false },
    'no-node': { type: 'boolean', default: false },
    /** Leave out the encoding of the kernels alone. */
    'no-kernels': { type: 'boolean', default: false },
    steps: { type: 'string', default: '60' },
    variants: { type: 'string', default: 'dense,sifted,learning' },
  },
});
const STEPS = Number(options.steps);
const variants = options.variants.split(',') as RoutingVariant[];

/** Times the encoding of our kernels alone. All buffers are the same from step to step. */
async function kernelLoop(): Promise<void> {
  const device = await openDevice(await startGpu());
  const shape = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' } as const;
  const make = (size: number) => ({ buffer: device.createBuffer({ size, usage: GPUBufferUsage.STORAGE }) });
  const layers = Array.from({ length: LAYERS }, () => ({
    q: make(2048),
    keys: make(2 * LENGTH * 256),
    values: make(2 * LENGTH * 256),
    output: make(2048),
  }));
  console.log(`kernels alone, Node, ${describeDevice(device)}:`);
  for (const [name, policy] of [
    ['dense', probabilityPolicy({ p: 0 })],
    ['two passes', inForm(uniformPolicy({ c: 1 }), 'two-pass')],
    ['one pass', uniformPolicy({ c: 1 })],
    ['learning', learnedPolicy({ warmup: 4096 })],
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
    const first = times[0]!;
    times.sort((a, b) => a - b);
    console.log(
      `  ${name}: ${times[Math.floor(STEPS / 2)]!.toFixed(1)} us a layer (first step ${first.toFixed(1)})`,
    );
    attention.destroy();
  }
  device.destroy();
}

const model = syntheticDecoder({
  layers: LAYERS,
  hidden: 64,
  inner: 64,
  positions: 4096,
  shape: { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' },
});
const log = (text: string) => console.error(text);
if (!options['no-node']) {
  await startGpu();
  if (!options['no-kernels']) await kernelLoop();
  copySharedWrites();
  const figures = await measureRouting(await loadRuntime(), model, { steps: STEPS, variants, log });
  console.log(`\nwhole step, Node, microseconds a layer:\n${routingMarkdown(figures)}`);
}
if (options.browser) {
  const { measureInBrowser } = await import('./routing/browser.ts');
  const { version, figures } = await measureInBrowser(model, { steps: STEPS, variants, log });
  console.log(`\nwhole step, Chromium ${version}, microseconds a layer:\n${routingMarkdown(figures)}`);
}
process.exit();
