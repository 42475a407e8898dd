// Sifted attention in Node, on Dawn: the WebGPU of Chromium as the npm package `webgpu`.
import { createSiftAttention, presetPolicy, SiftError } from 'sift-attention/kernel';
import { create, globals } from 'webgpu';
import { difference, normals, plainAttention } from './plain-attention.js';

/** @type {import('sift-attention/kernel').AttentionShape} */
const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' };
const LENGTH = Number(process.env.LENGTH ?? 16384);

// In a browser these are globals. Dawn crashes if its instance is collected before its devices, so it is kept there, too.
Object.assign(globalThis, globals);
const gpu = create([]);
Object.assign(globalThis, { gpu });

/**
 * A buffer that holds the values.
 * @param {GPUDevice} device
 * @param {Float32Array<ArrayBuffer>} values
 */
function upload(device, values) {
  const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
  const buffer = device.createBuffer({ size: values.byteLength, usage: STORAGE | COPY_DST | COPY_SRC });
  device.queue.writeBuffer(buffer, 0, values);
  return buffer;
}

/**
 * What a buffer holds.
 * @param {GPUDevice} device
 * @param {GPUBuffer} buffer
 */
async function download(device, buffer) {
  const { MAP_READ, COPY_DST } = GPUBufferUsage;
  const copy = device.createBuffer({ size: buffer.size, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  return new Float32Array(copy.getMappedRange().slice(0));
}

async function main() {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter)
    throw new Error('Dawn finds no GPU here. On Linux it needs a Vulkan driver; VK_DRIVER_FILES names one.');
  /** @type {GPUFeatureName[]} */
  const wanted = ['subgroups'];
  const device = await adapter.requestDevice({
    requiredFeatures: wanted.filter((name) => adapter.features.has(name)),
  });
  console.log(`${adapter.info.description || adapter.info.vendor}, ${LENGTH} keys`);

  const { queryHeads, kvHeads, headSize } = SHAPE;
  const q = normals(queryHeads * headSize).map((value) => 2 * value); // [queryHeads, headSize]
  const keys = normals(kvHeads * LENGTH * headSize); // [kvHeads, length, headSize]
  const values = normals(kvHeads * LENGTH * headSize); // [kvHeads, length, headSize]
  const expected = plainAttention(q, keys, values, SHAPE, LENGTH);
  const buffers = { q: upload(device, q), keys: upload(device, keys), values: upload(device, values) };
  const output = upload(device, new Float32Array(queryHeads * headSize)); // [queryHeads, headSize]

  for (const quality of /** @type {const} */ (['exact', 'balanced'])) {
    const attention = await createSiftAttention(device, SHAPE, { policy: presetPolicy(quality) });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    const step = attention.beginStep({ length: LENGTH });
    step.encode(pass, 0, {
      q: { buffer: buffers.q },
      keys: { buffer: buffers.keys },
      values: { buffer: buffers.values },
      output: { buffer: output },
    });
    pass.end();
    device.queue.submit([encoder.finish()]);
    const apart = difference(await download(device, output), expected);
    const { groups } = await attention.figures(0);
    const rows = groups.reduce((sum, group) => sum + group.lastUnion, 0) / groups.length;
    const read = step.dense ? 100 : (100 * rows) / LENGTH;
    console.log(
      `${quality}: ${read.toFixed(1)}% of the V rows read, ${apart.toExponential(1)} from plain JavaScript`,
    );
    attention.destroy();
  }
  device.destroy();
}

await main().catch((error) => {
  // Every error of the package is a SiftError with a code, such as SELF_TEST_FAILED.
  console.error(error instanceof SiftError ? `${error.code}: ${error.message}` : error.message);
  process.exitCode = 1;
});
// Dawn would keep the process alive.
process.exit();
