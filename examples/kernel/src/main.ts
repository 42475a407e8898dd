// Decode attention for an engine of your own: a device, a shape, buffers.
import {
  type AttentionShape,
  createSiftAttention,
  presetPolicy,
  SiftError,
  type ThresholdPolicy,
} from 'sift-attention/kernel';
import { difference, normals, plainAttention } from './plain-attention.ts';

const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' } as const satisfies AttentionShape;
const TIMED_STEPS = 20;

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const status = element('status');

/** A buffer that holds the values. */
function upload(device: GPUDevice, values: Float32Array): GPUBuffer {
  const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
  const buffer = device.createBuffer({ size: values.byteLength, usage: STORAGE | COPY_DST | COPY_SRC });
  device.queue.writeBuffer(buffer, 0, values as Float32Array<ArrayBuffer>);
  return buffer;
}

/** What a buffer holds. */
async function download(device: GPUDevice, buffer: GPUBuffer): Promise<Float32Array> {
  const { MAP_READ, COPY_DST } = GPUBufferUsage;
  const copy = device.createBuffer({ size: buffer.size, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(copy.getMappedRange()).slice();
  copy.destroy();
  return values;
}

interface Tensors {
  /** [queryHeads, headSize] */
  q: GPUBuffer;
  /** [kvHeads, length, headSize] */
  keys: GPUBuffer;
  /** [kvHeads, length, headSize] */
  values: GPUBuffer;
  /** [queryHeads, headSize] */
  output: GPUBuffer;
}

/** Decodes with a policy: the output of a step, what it read, and how long a step takes. */
async function decode(device: GPUDevice, tensors: Tensors, length: number, policy?: ThresholdPolicy) {
  // Without a policy it is the preset `balanced`. Before this returns, the kernels are held against attention in f64.
  const attention = await createSiftAttention(device, SHAPE, policy ? { policy } : {});
  let dense = false;
  const run = async (steps: number) => {
    const start = performance.now();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < steps; i++) {
      const step = attention.beginStep({ length });
      dense = step.dense;
      step.encode(pass, 0, {
        q: { buffer: tensors.q },
        keys: { buffer: tensors.keys },
        values: { buffer: tensors.values },
        output: { buffer: tensors.output },
      });
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return (performance.now() - start) / steps;
  };
  await run(1);
  const output = await download(device, tensors.output);
  const milliseconds = await run(TIMED_STEPS);
  // How many rows the last step that sifted has read, for each KV head.
  const { groups } = await attention.figures(0);
  attention.destroy();
  const rows = groups.reduce((sum, group) => sum + group.lastUnion, 0) / groups.length;
  return { output, milliseconds, read: dense ? 1 : rows / length };
}

async function run(length: number): Promise<void> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('This browser has no WebGPU, or no graphics adapter for it.');
  // With subgroups the kernels are faster; without them they still work.
  const requiredFeatures = (['subgroups'] as GPUFeatureName[]).filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({ requiredFeatures });
  try {
    const { queryHeads, kvHeads, headSize } = SHAPE;
    // Queries of this size give scores with a standard deviation of 2.
    const q = normals(queryHeads * headSize).map((value) => 2 * value);
    const keys = normals(kvHeads * length * headSize);
    const values = normals(kvHeads * length * headSize);
    const output = new Float32Array(queryHeads * headSize);
    const tensors = {
      q: upload(device, q),
      keys: upload(device, keys),
      values: upload(device, values),
      output: upload(device, output),
    };
    status.textContent = 'Dense attention…';
    const dense = await decode(device, tensors, length, presetPolicy('exact'));
    status.textContent = 'Sifted attention…';
    const sift = await decode(device, tensors, length);
    status.textContent = 'Plain JavaScript…';
    const expected = plainAttention(q, keys, values, SHAPE, length);
    show(length, [
      ['dense', dense, difference(dense.output, expected)],
      ['sift, default policy', sift, difference(sift.output, expected)],
    ]);
    const { description, vendor, architecture } = adapter.info;
    status.textContent = `Done on ${description || `${vendor} ${architecture}`}.`;
  } finally {
    device.destroy();
  }
}

type Row = [name: string, result: Awaited<ReturnType<typeof decode>>, difference: number];

function show(length: number, rows: Row[]): void {
  const body = element<HTMLTableElement>('result').tBodies[0]!;
  body.replaceChildren();
  for (const [name, { milliseconds, read }, apart] of rows) {
    const row = body.insertRow();
    const cells = [
      name,
      milliseconds.toFixed(milliseconds < 1 ? 3 : 1),
      `${(100 * read).toFixed(1)}%`,
      apart.toExponential(1),
    ];
    for (const cell of cells) row.insertCell().textContent = cell;
  }
  element('length').textContent = length.toLocaleString('en');
  element('result').hidden = element('explained').hidden = false;
}

element<HTMLFormElement>('form').onsubmit = async (event) => {
  event.preventDefault();
  const button = (event.target as HTMLFormElement).querySelector('button')!;
  button.disabled = true;
  status.className = '';
  try {
    await run(Number(element<HTMLSelectElement>('keys').value));
  } catch (error) {
    status.className = 'error';
    // Every error of the package is a SiftError with a code, such as OUT_OF_MEMORY.
    const code = error instanceof SiftError ? `${error.code}: ` : '';
    status.textContent = code + (error instanceof Error ? error.message : String(error));
  }
  button.disabled = false;
};
