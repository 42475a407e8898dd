import type { BenchModelChoice, Dtype } from './models.ts';
import type { VariantName } from './variants.ts';

/** One length at which a model is measured. */
export interface LengthPlan {
  /** Keys in the cache when decoding begins. */
  context: number;
  /** They are given as a past, not run as a prompt. */
  past: boolean;
  /** Measured in turns, every other time in reverse order. */
  variants: readonly VariantName[];
  turns: number;
}

/** What is measured of one model. */
export interface ModelPlan {
  model: string;
  dtype: Dtype;
  lengths: readonly LengthPlan[];
  /** Decode steps that are not timed in each turn, and those that are. */
  warm: number;
  steps: number;
  /** The GPU's times are measured, too, where the device has timestamp queries. */
  gpu?: boolean;
}

/** What of a device limits the lengths. */
export interface DeviceLimits {
  /** Bytes of the largest buffer that can be bound. */
  binding: number;
  /** Bytes that the model and its caches may take together; the browser does not tell. */
  memory: number;
}

/** Prompts beyond this length take minutes on a laptop: longer contexts are given as a past. */
const LONGEST_PROMPT = 8192;

const LENGTHS = [512, 2048, 8192, 32_768, 65_536, 131_072];

/** Why a length does not fit; undefined if it does. */
export function lengthObstacle(
  { bytes, positions, shape }: BenchModelChoice,
  dtype: Dtype,
  context: number,
  { binding, memory }: DeviceLimits,
): string | undefined {
  if (context > positions) return `the model has ${positions.toLocaleString('en')} positions`;
  const element = dtype === 'q4f16' ? 2 : 4;
  const tensor = shape.kvHeads * shape.headSize * element * (context + 1024);
  if (tensor > binding) return 'its K of one layer does not fit a buffer of this device';
  // The runtime's own cache is there twice: what a step reads and what it writes. A past that was given is there besides.
  const copies = context > LONGEST_PROMPT ? 3 : 2;
  const whole = bytes(dtype) + copies * 2 * shape.layers * tensor;
  if (whole > memory) return `it takes about ${(whole / 1e9).toFixed(1)} GB of GPU memory`;
  return undefined;
}

/** A plan for a device that nothing is known of but its limits: lengths that fit, stock beside the plugin's defaults. */
export function planFor(
  model: BenchModelChoice,
  dtype: Dtype,
  limits: DeviceLimits,
  { software, longest }: { software: boolean; longest: number },
): ModelPlan {
  const lengths = (software ? [512, 1024] : LENGTHS)
    .filter((context) => context <= longest && lengthObstacle(model, dtype, context, limits) === undefined)
    .map((context) => ({
      context,
      past: context > LONGEST_PROMPT,
      variants: ['stock', 'default', 'exact'] as const,
      turns: software ? 2 : 3,
    }));
  return { model: model.name, dtype, lengths, warm: software ? 4 : 16, steps: software ? 12 : 48 };
}

/** How long a part of a plan takes beside others, in no unit: steps and prompts grow with the length. */
export function weightOf({ context, past, variants, turns }: LengthPlan, { warm, steps }: ModelPlan): number {
  const decoding = (warm + steps) * (1 + context / 16_384);
  const prompt = past ? 8 : context / 64;
  return variants.length * turns * (decoding + prompt + 40);
}
