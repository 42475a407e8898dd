// Decode attention for an engine of your own: a device, a shape, buffers.
import { createSiftAttention, learnedPolicy } from '../../src/index.ts';

const shape = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' } as const;
const PROMPT = 2000;
const STEPS = 48;
const capacity = PROMPT + STEPS;

function buffer(device: GPUDevice, elements: number, value: (i: number) => number): GPUBuffer {
  const { STORAGE, COPY_SRC } = GPUBufferUsage;
  const result = device.createBuffer({
    size: elements * 4,
    usage: STORAGE | COPY_SRC,
    mappedAtCreation: true,
  });
  new Float32Array(result.getMappedRange()).set(Float32Array.from({ length: elements }, (_, i) => value(i)));
  result.unmap();
  return result;
}

async function run(): Promise<string> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return 'There is no WebGPU here.';
  const requiredFeatures = (['subgroups'] as GPUFeatureName[]).filter((feature) =>
    adapter.features.has(feature),
  );
  const device = await adapter.requestDevice({ requiredFeatures });

  // The thresholds are learned in the first 16 steps, then a head keeps about an eighth of the rows.
  const policy = learnedPolicy({ tau: 0.875, warmup: 16 });
  const attention = await createSiftAttention(device, shape, { policy });

  const random = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const cacheElements = shape.kvHeads * capacity * shape.headSize;
  const keys = buffer(device, cacheElements, random); // [batch, kvHeads, capacity, headSize]
  const values = buffer(device, cacheElements, random);
  const output = buffer(device, shape.queryHeads * shape.headSize, () => 0);

  for (let step = 1; step <= STEPS; step++) {
    const q = buffer(device, shape.queryHeads * shape.headSize, random); // [batch, queryHeads, headSize]
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    attention.beginStep({ length: PROMPT + step, capacity }).encode(pass, 0, {
      q: { buffer: q },
      keys: { buffer: keys },
      values: { buffer: values },
      output: { buffer: output },
    });
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  const { heads, groups } = await attention.figures(0);
  attention.destroy();
  const lines = heads.map((head, h) => {
    const kept = ((100 * head.keptRows) / head.totalRows).toFixed(1);
    return `head ${h}: kept ${kept}% of the rows, threshold ${Math.exp(head.logThreshold).toExponential(2)}, status ${head.status}`;
  });
  const read = groups.map((group) => `${((100 * group.lastUnion) / capacity).toFixed(1)}%`);
  return [...lines, `V rows read per KV head at the last step: ${read.join(', ')}`].join('\n');
}

const pre = document.querySelector('#output')!;
pre.textContent = await run().catch((error) => `${error.name}: ${error.message}`);
pre.setAttribute('data-done', '');
