import { createDeviceResources } from '../src/kernel/encoder.ts';
import type { AttentionShape } from '../src/kernel/shape.ts';
import { createSiftAttention, type DecodeStep, type SiftAttention } from '../src/kernel/sift-attention.ts';
import {
  defaultPolicy,
  probabilityPolicy,
  type ThresholdPolicy,
  uniformPolicy,
} from '../src/tracker/index.ts';
import { type InputSet, uniformLevel } from './inputs.ts';
import type { Variant } from './timing.ts';

/** One of our kernels' ways of doing a step, on the rotated inputs. */
export class OurAttention implements Variant {
  private step: DecodeStep | undefined;

  constructor(
    readonly name: string,
    readonly attention: SiftAttention,
    private readonly length: number,
    private readonly sets: readonly InputSet[],
    private readonly output: GPUBuffer,
  ) {}

  /** A step per sample: its parameters serve all calls, as they serve all layers of a model. */
  begin(): void {
    this.step = this.attention.beginStep({ length: this.length });
  }

  encode(pass: GPUComputePassEncoder, call: number): void {
    const { q, keys, values } = this.sets[call % this.sets.length]!;
    this.step!.encode(pass, 0, {
      q: { buffer: q },
      keys: { buffer: keys },
      values: { buffer: values },
      output: { buffer: this.output },
    });
  }
}

/** Dense, sifted at each wanted fraction, and a step of a learned policy's warm-up. */
export interface OurVariants {
  dense: OurAttention;
  sifted: { kept: number; policy: ThresholdPolicy; variant: OurAttention }[];
  warmup: OurAttention;
  destroy(): void;
}

export async function createVariants(
  device: GPUDevice,
  shape: AttentionShape,
  length: number,
  kept: readonly number[],
  sets: readonly InputSet[],
  output: GPUBuffer,
): Promise<OurVariants> {
  const resources = createDeviceResources(device);
  const make = async (name: string, policy: ThresholdPolicy) => {
    const attention = await createSiftAttention(device, shape, { policy, resources });
    return new OurAttention(name, attention, length, sets, output);
  };
  const dense = await make('dense', probabilityPolicy({ p: 0 }));
  const warmup = await make('warmup', defaultPolicy({ warmup: 4096 }));
  const sifted: OurVariants['sifted'] = [];
  for (const fraction of kept) {
    const policy = uniformPolicy({ c: uniformLevel(fraction, shape) });
    sifted.push({ kept: fraction, policy, variant: await make(`sift ${fraction}`, policy) });
  }
  return {
    dense,
    sifted,
    warmup,
    destroy() {
      for (const { attention } of [dense, warmup, ...sifted.map((s) => s.variant)]) attention.destroy();
      resources.scratch.destroy();
      resources.params.destroy();
    },
  };
}

/** Fractions of rows kept at the sifted steps since the last reset: by the head itself, and read by its group. */
export async function keptFractions(
  attention: SiftAttention,
  length: number,
): Promise<{ keptHead: number; keptGroup: number }> {
  const { heads, groups } = await attention.figures(0);
  const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
  const steps = heads[0]?.siftedSteps ?? 0;
  return {
    keptHead: sum(heads.map((h) => h.keptRows)) / sum(heads.map((h) => h.totalRows)),
    keptGroup: sum(groups.map((g) => g.unionRows)) / (groups.length * steps * length),
  };
}
