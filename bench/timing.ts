import { PassStamps } from '../src/kernel/calibration/pass-stamps.ts';
import copySource from './wgsl/copy.wgsl?raw';

/** Microseconds of one call: the median and the 10th and 90th percentile over the samples. */
export interface Timing {
  median: number;
  p10: number;
  p90: number;
  samples: number;
}

/** Something to be timed: `encode` is called `calls` times in one compute pass. */
export interface Variant {
  name: string;
  /** Called before the encoding of a sample. */
  begin?(): void;
  /** @param call - counts on from sample to sample, for the rotation of inputs */
  encode(pass: GPUComputePassEncoder, call: number): void;
}

export function summarise(samples: readonly number[]): Timing {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (fraction: number) => {
    const place = fraction * (sorted.length - 1);
    const low = sorted[Math.floor(place)] ?? Number.NaN;
    return low + (sorted[Math.ceil(place)]! - low) * (place - Math.floor(place));
  };
  return { median: at(0.5), p10: at(0.1), p90: at(0.9), samples: sorted.length };
}

/** Milliseconds of work before variants are timed. */
const WARM_UP = 300;

/** Times compute passes by timestamp queries. */
export class PassTimer {
  private readonly stamps: PassStamps;

  constructor(private readonly device: GPUDevice) {
    this.stamps = new PassStamps(device);
  }

  /** Runs one pass alone on the device and returns its microseconds. */
  async run(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass({ timestampWrites: this.stamps.writes });
    encode(pass);
    pass.end();
    this.stamps.resolve(encoder);
    this.device.queue.submit([encoder.finish()]);
    return (await this.stamps.read()) / 1000;
  }

  /** Keeps the device busy, so that its clock is up: it falls in the gaps while inputs are drawn and compared. */
  async warmUp(milliseconds: number, encode: (pass: GPUComputePassEncoder) => void): Promise<void> {
    const end = performance.now() + milliseconds;
    while (performance.now() < end) {
      for (let i = 0; i < 8; i++) {
        const encoder = this.device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        encode(pass);
        pass.end();
        this.device.queue.submit([encoder.finish()]);
      }
      await this.device.queue.onSubmittedWorkDone();
    }
  }

  destroy(): void {
    this.stamps.destroy();
  }
}

/** Times the variants in turns; every round begins with another one. Two rounds of warm-up are not counted. */
export async function timeInTurns(
  timer: PassTimer,
  variants: readonly Variant[],
  calls: number,
  repeat: number,
): Promise<Map<string, Timing>> {
  const samples = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  const counted = new Map<string, number>();
  const [first] = variants;
  first?.begin?.();
  await timer.warmUp(WARM_UP, (pass) => {
    for (let call = 0; call < calls; call++) first?.encode(pass, call);
  });
  for (let round = -2; round < repeat; round++) {
    for (let i = 0; i < variants.length; i++) {
      const variant = variants[(((round + i) % variants.length) + variants.length) % variants.length]!;
      const first = counted.get(variant.name) ?? 0;
      counted.set(variant.name, first + calls);
      variant.begin?.();
      const time = await timer.run((pass) => {
        for (let call = first; call < first + calls; call++) variant.encode(pass, call);
      });
      if (round >= 0) samples.get(variant.name)!.push(time / calls);
    }
  }
  return new Map([...samples].map(([name, list]) => [name, summarise(list)]));
}

/** Gigabytes a second, read and written bytes counted. */
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

/** No timestamps outside passes: the wall-clock difference of many copies and few. */
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
