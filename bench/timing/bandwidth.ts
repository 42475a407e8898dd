import copySource from './copy.wgsl?raw';
import { type PassTimer, summarise } from './timing.ts';

/** Gigabytes a second. Bytes that are read count, and bytes that are written. */
export interface Bandwidth {
  kernel: number;
  copyBufferToBuffer: number;
  bytes: number;
}

/** The device's copy bandwidth between two buffers of `bytes`: of a kernel, and of the copy command. */
export async function copyBandwidth(device: GPUDevice, timer: PassTimer, bytes: number): Promise<Bandwidth> {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const source = device.createBuffer({ size: bytes, usage });
  const target = device.createBuffer({ size: bytes, usage });
  const params = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ label: 'copy', code: copySource }) },
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [params, source, target].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const words = bytes / 16;
  let kernel = 0;
  for (const wanted of [1024, 4096, 16384, 65535]) {
    const groups = Math.min(wanted, Math.ceil(words / 256));
    device.queue.writeBuffer(params, 0, Uint32Array.of(words, groups * 256));
    const samples: number[] = [];
    for (let i = -1; i < 7; i++) {
      const time = await timer.run((pass) => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(groups);
      });
      if (i >= 0) samples.push(time);
    }
    kernel = Math.max(kernel, (2 * bytes) / summarise(samples).median / 1000);
  }
  const copyBufferToBuffer = await copyCommand(device, source, target);
  for (const buffer of [source, target, params]) buffer.destroy();
  return { kernel, copyBufferToBuffer, bytes };
}

/** Copies lie outside passes, where there are no timestamps. So the time is the wall-clock difference of many copies and few. */
async function copyCommand(device: GPUDevice, source: GPUBuffer, target: GPUBuffer): Promise<number> {
  const wall = async (copies: number) => {
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < copies; i++) encoder.copyBufferToBuffer(source, 0, target, 0, source.size);
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - start;
  };
  await wall(2);
  const rates: number[] = [];
  const [few, many] = source.size >= 2 ** 26 ? [4, 44] : [1, 5];
  for (let i = 0; i < 5; i++) {
    const difference = -(await wall(few)) + (await wall(many));
    rates.push((2 * source.size * (many - few)) / difference / 1e6);
  }
  return summarise(rates).median;
}
