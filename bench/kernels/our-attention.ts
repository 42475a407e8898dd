import { canUseSubgroups } from '../../src/kernel/proof/variants.ts';
import { type AttentionShape, canSiftInOnePass } from '../../src/kernel/shape.ts';
import { createSiftAttention, type DecodeStep, type SiftAttention } from '../../src/kernel/sift-attention.ts';
import { createStepResources } from '../../src/kernel/step/encoder.ts';
import type { Tuning } from '../../src/kernel/step/tuning.ts';
import {
  learnedPolicy,
  probabilityPolicy,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from '../../src/policy/index.ts';
import type { Variant } from '../timing/timing.ts';
import { type InputSet, uniformLevel } from './inputs.ts';

/** Our attention under one policy. Its calls use the sets of inputs in turn. */
export class OurAttention implements Variant {
  private step: DecodeStep | undefined;

  constructor(
    readonly name: string,
    readonly attention: SiftAttention,
    private readonly length: number,
    private readonly sets: readonly InputSet[],
    private readonly output: GPUBuffer,
  ) {}

  /** The layer of a call: each set of inputs has its own where there are as many, because a shadow belongs to one K. */
  private layerOf(call: number): number {
    return this.attention.layers > 1 ? call % this.sets.length : 0;
  }

  /** Begins a step for each sample. Its parameters serve all calls of the sample, as they serve all layers of a model. */
  begin(): void {
    this.step = this.attention.beginStep({ length: this.length });
  }

  encode(pass: GPUComputePassEncoder, call: number): void {
    const { q, keys, values } = this.sets[call % this.sets.length]!;
    this.step!.encode(pass, this.layerOf(call), {
      q: { buffer: q },
      keys: { buffer: keys },
      values: { buffer: values },
      output: { buffer: this.output },
    });
  }

  /** Forgets what was learned, and learns thresholds in as many steps as the policy's warm-up has. */
  learn(device: GPUDevice): void {
    this.attention.reset();
    const { policy } = this.attention;
    if (policy.target.kind !== 'quantile') return;
    for (let i = 0; i < policy.warmup; i++) {
      const commands = device.createCommandEncoder();
      const pass = commands.beginComputePass();
      this.begin();
      this.encode(pass, i);
      pass.end();
      device.queue.submit([commands.finish()]);
    }
  }
}

/**
 * Two passes compute the exact normaliser before rows are read; one pass reads them by an estimate of it. Both make up for dropped rows as
 * the default policy does.
 */
export type SiftForm = 'two-pass' | 'one-pass';

export function inForm(policy: ThresholdPolicy, form: SiftForm): ThresholdPolicy {
  const normaliser = form === 'one-pass' ? 'estimate' : 'exact';
  return { ...policy, normaliser, dropped: 'linear', keepLargest: false };
}

/** What decides which rows are read: one of the three, the others being undefined. */
export interface SiftCase {
  /** Share of rows that each head drops, by a threshold learned in 16 steps. */
  tau: number | undefined;
  /** Share of V rows that a KV group of independent heads with normal scores reads; a uniform level follows from it. */
  kept: number | undefined;
  /** The c of a uniform level: rows with a probability of at least c/length are read. */
  level: number | undefined;
  form: SiftForm;
}

export interface SiftedVariant extends SiftCase {
  policy: ThresholdPolicy;
  variant: OurAttention;
  /** The same level, with the shadow of K: for uniform levels in one pass. */
  screened: { policy: ThresholdPolicy; variant: OurAttention } | undefined;
}

/** Dense, every sifted case, and a step of a learned policy's warm-up. */
export interface OurVariants {
  dense: OurAttention;
  sifted: SiftedVariant[];
  warmup: OurAttention;
  destroy(): void;
}

export async function createVariants(
  device: GPUDevice,
  shape: AttentionShape,
  length: number,
  cases: readonly SiftCase[],
  sets: readonly InputSet[],
  output: GPUBuffer,
  tuning: Partial<Tuning>,
): Promise<OurVariants> {
  const resources = await createStepResources(device);
  const make = async (name: string, policy: ThresholdPolicy, layers = 1) => {
    const attention = await createSiftAttention(device, shape, { policy, resources, tuning, layers });
    return new OurAttention(name, attention, length, sets, output);
  };
  const dense = await make('dense', probabilityPolicy({ p: 0 }));
  const warmup = await make('warmup', learnedPolicy({ warmup: 4096 }));
  const sifted: SiftedVariant[] = [];
  for (const { tau, kept, level, form } of cases) {
    const base =
      tau === undefined
        ? uniformPolicy({ c: level ?? uniformLevel(kept!, shape) })
        : learnedPolicy({ tau, warmup: 16 });
    const policy = inForm(base, form);
    const what = level !== undefined ? `${level}/S` : tau === undefined ? `kept ${kept}` : `tau ${tau}`;
    const name = `sift ${what} ${form}`;
    const hasShadow =
      form === 'one-pass' && tau === undefined && canSiftInOnePass(shape, canUseSubgroups(device));
    const shadowed = hasShadow ? validatePolicy({ ...policy, keys: 'shadow' }) : undefined;
    const screened = shadowed && {
      policy: shadowed,
      variant: await make(`${name} shadow`, shadowed, sets.length),
    };
    sifted.push({ tau, kept, level, form, policy, variant: await make(name, policy), screened });
  }
  return {
    dense,
    sifted,
    warmup,
    destroy() {
      const all = [
        dense,
        warmup,
        ...sifted.flatMap((s) => [s.variant, ...(s.screened ? [s.screened.variant] : [])]),
      ];
      for (const { attention } of all) attention.destroy();
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
  // Under a dense policy nothing is counted.
  if (steps === 0) return { keptHead: 1, keptGroup: 1 };
  return {
    keptHead: sum(heads.map((h) => h.keptRows)) / sum(heads.map((h) => h.totalRows)),
    keptGroup: sum(groups.map((g) => g.unionRows)) / (groups.length * steps * length),
  };
}
