import { quantile } from '../../lab/statistics.ts';
import { PassStamps } from '../../src/kernel/calibration/pass-stamps.ts';

/** Microseconds of one call: the median, and the 10th and 90th percentile, over the samples. */
export interface Timing {
  median: number;
  p10: number;
  p90: number;
  samples: number;
}

/** Something to be timed. A sample is one compute pass, for which `encode` is called several times. */
export interface Variant {
  name: string;
  /** Called before the encoding of a sample. */
  begin?(): void;
  /** @param call - goes on from sample to sample, so that inputs can be used in turn */
  encode(pass: GPUComputePassEncoder, call: number): void;
}

export const summarise = (samples: readonly number[]): Timing => ({
  median: quantile(samples, 0.5),
  p10: quantile(samples, 0.1),
  p90: quantile(samples, 0.9),
  samples: samples.length,
});

/** Milliseconds for which the device works before variants are timed. */
const WARM_UP = 300;

/** Times compute passes by timestamp queries. */
export class PassTimer {
  private readonly stamps: Promise<PassStamps>;

  constructor(private readonly device: GPUDevice) {
    this.stamps = PassStamps.create(device);
  }

  /** Runs one pass alone on the device and returns its microseconds. */
  async run(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const stamps = await this.stamps;
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass({ timestampWrites: stamps.writes });
    encode(pass);
    pass.end();
    stamps.resolve(encoder);
    this.device.queue.submit([encoder.finish()]);
    return (await stamps.read()) / 1000;
  }

  /** Keeps the device busy until its clock is up. The clock falls while the device waits for inputs to be made and compared. */
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
    void this.stamps.then((stamps) => stamps.destroy());
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
