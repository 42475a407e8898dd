import { runStepCases } from '../../src/kernel/proof/step-cases.ts';
import { ERROR_BOUND, THRESHOLD_BOUND } from '../../src/kernel/proof/test-cases.ts';
import { kernelVariants } from '../../src/kernel/proof/variants.ts';
import { type AttentionShape, type DType, describeShape, validateShape } from '../../src/kernel/shape.ts';
import {
  AttentionEncoder,
  createStepResources,
  destroyStepResources,
} from '../../src/kernel/step/encoder.ts';
import { type StepKind, stepKinds } from '../../src/kernel/step/step-kinds.ts';
import type { KernelVariant } from '../../src/kernel/text/variant.ts';
import { learnedPolicy, presetPolicy, validatePolicy } from '../../src/policy/index.ts';

/** A step that was held against the f64 oracle. */
export interface ProofResult {
  shape: string;
  variant: string;
  kind: StepKind;
  seed: number;
  /** Keys of each sequence, and rows before the first of them. */
  lengths: readonly number[];
  firstKey: number;
  /** The largest error of a head's output, relative to its largest element, and the bound that it must stay below. */
  error: number;
  allowed: number;
  /** How far learned thresholds are off, in nats. */
  learnedError: number;
  /** Whether every head kept, and every group read, as many rows as in the oracle. */
  countsAgree: boolean;
  ok: boolean;
}

/** Together these two have every kind of step. */
const SIFTING = presetPolicy('balanced');
const LEARNING = validatePolicy({ ...learnedPolicy({ warmup: 2 }), refitEvery: 8 });

/** Fewer keys than a tile, several splits of which the last is not full, sequences of several lengths, and a window's first key. */
const CACHES: readonly { lengths: readonly number[]; firstKey: number }[] = [
  { lengths: [5], firstKey: 0 },
  { lengths: [301, 160], firstKey: 0 },
  { lengths: [301, 160], firstKey: 37 },
  { lengths: [1030], firstKey: 0 },
];

/**
 * Reads a list of shapes such as `8/1x512,64/8x64+sinks`: query heads, KV heads, head size, and whether there are attention sinks.
 *
 * @throws Error that names the text that is no shape
 * @throws {SiftError} `INVALID_OPTION` if there are no kernels for one
 */
export function parseShapes(list: string, dtype: DType): AttentionShape[] {
  return list.split(',').map((text) => {
    const match = /^(\d+)\/(\d+)x(\d+)(\+sinks)?$/.exec(text);
    if (!match) throw new Error(`"${text}" is no shape; 8/2x512 and 64/8x64+sinks are.`);
    const [queryHeads, kvHeads, headSize] = match.slice(1, 4).map(Number) as [number, number, number];
    const shape = { queryHeads, kvHeads, headSize, dtype, ...(match[4] !== undefined && { sinks: true }) };
    validateShape(shape);
    return shape;
  });
}

function describeVariant({ subgroupSize, halfScreen }: KernelVariant): string {
  if (subgroupSize === 0) return 'portable';
  return `subgroups of ${subgroupSize}${halfScreen ? ', K screened in f16' : ''}`;
}

/** Runs every kind of step of a shape with each variant that the device has, on several caches. */
export async function* proveShape(
  device: GPUDevice,
  shape: AttentionShape,
  seeds: number,
): AsyncGenerator<ProofResult> {
  const allowed = ERROR_BOUND[shape.dtype];
  for (const variant of kernelVariants(device, shape)) {
    const resources = await createStepResources(device);
    const encoder = await AttentionEncoder.create(resources, shape, variant, SIFTING, LEARNING);
    const kindsOf = (policy: typeof SIFTING) => stepKinds(policy, shape, variant.subgroupSize > 0);
    const learning = kindsOf(LEARNING).filter((kind) => !kindsOf(SIFTING).includes(kind));
    const parts = [
      [SIFTING, kindsOf(SIFTING)],
      [LEARNING, learning],
    ] as const;
    for (const cache of CACHES)
      for (let seed = 1; seed <= seeds; seed++)
        for (const [policy, kinds] of parts)
          for await (const outcome of runStepCases(encoder, { ...cache, seed, kinds, policy })) {
            const { kind, error, learnedError, countsAgree } = outcome;
            const ok = error < allowed && learnedError < THRESHOLD_BOUND && countsAgree;
            const place = { shape: describeShape(shape), variant: describeVariant(variant), kind, seed };
            yield { ...place, ...cache, error, allowed, learnedError, countsAgree, ok };
          }
    destroyStepResources(resources);
  }
}
