// Which rows the kernel reads shows in its output where V is one-hot: row i has a 1 at element i mod 64, and every other row of a block of
// 64 is 0. Element d of the output is then the probability of row d of that block, and 0 if the row was dropped.
import { download } from '../../src/kernel/gpu/transfer.ts';
import { LayerState } from '../../src/kernel/step/layer-state.ts';
import type { RecordedLayer } from './recorder.ts';

/** Makes the one-hot V. Each block of keys is shown by binding it from another offset. */
function oneHotValues(device: GPUDevice, headSize: number, capacity: number, kvHeads: number) {
  const rows = capacity * (kvHeads + 1);
  const data = new Float32Array(rows * headSize);
  for (let start = 0; start < rows; start += capacity) {
    for (let i = 0; i < headSize; i++) data[(start + i) * headSize + i] = 1;
  }
  const buffer = device.createBuffer({
    size: data.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, data);
  const size = capacity * kvHeads * headSize * 4;
  const blocks = capacity / headSize;
  return {
    binding: (block: number) => ({
      buffer,
      offset: ((blocks - block) % blocks) * headSize * headSize * 4,
      size,
    }),
    destroy: () => buffer.destroy(),
  };
}

/**
 * Runs one recorded layer again, once for each block of keys.
 *
 * @returns for every row, [queryHeads, length], 1 if it was kept; and how many rows each head kept
 */
export async function keptRows(
  device: GPUDevice,
  call: RecordedLayer,
  keys: Float32Array<ArrayBuffer>,
  length: number,
): Promise<{ kept: Uint8Array; counts: number[] }> {
  const { encoder, state, step } = call;
  const { queryHeads, kvHeads, headSize } = encoder.shape;
  const capacity = Math.ceil(length / headSize) * headSize;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const k = device.createBuffer({ size: kvHeads * capacity * headSize * 4, usage });
  for (let h = 0; h < kvHeads; h++) {
    const part = keys.subarray(h * length * headSize, (h + 1) * length * headSize);
    device.queue.writeBuffer(k, h * capacity * headSize * 4, part);
  }
  const zeros = device.createBuffer({ size: 4, usage });
  const values = oneHotValues(device, headSize, capacity, kvHeads);
  const own = new LayerState(device, encoder.shape, 1, step.policy);
  const blocks = Math.ceil(length / headSize);
  const rowBytes = queryHeads * headSize * 4;
  const output = device.createBuffer({ size: blocks * rowBytes, usage });
  const prepared = encoder.prepare({
    batch: 1,
    lengths: { buffer: zeros },
    lengthBias: length,
    maxLength: length,
    capacity,
    scale: step.scale,
    // Nothing may stand for the dropped rows: it would show in the output.
    policy: { ...step.policy, dropped: 'renormalise' },
    plan: { ...step.plan, windowIndex: -1, fit: false },
  });
  const commands = device.createCommandEncoder();
  commands.copyBufferToBuffer(state.heads, 0, own.heads, 0, own.heads.size);
  const pass = commands.beginComputePass();
  for (let block = 0; block < blocks; block++) {
    encoder.attend(
      pass,
      prepared,
      { q: { buffer: call.q }, keys: { buffer: k }, values: values.binding(block) },
      own,
    );
    encoder.combine(pass, prepared, { buffer: output, offset: block * rowBytes, size: rowBytes }, own);
  }
  pass.end();
  device.queue.submit([commands.finish()]);
  const out = await download(device, output, blocks * queryHeads * headSize, 'f32');
  const counts = (await own.read()).heads.map((head) => head.lastKept);
  const kept = new Uint8Array(queryHeads * length);
  for (let h = 0; h < queryHeads; h++) {
    for (let i = 0; i < length; i++) {
      const block = Math.floor(i / headSize);
      kept[h * length + i] = Number(out[(block * queryHeads + h) * headSize + (i % headSize)]! > 0);
    }
  }
  for (const buffer of [k, zeros, output]) buffer.destroy();
  values.destroy();
  own.destroy();
  return { kept, counts };
}
