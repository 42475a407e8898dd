import { enableTransformers, type Sift } from './adapters/transformers/controller.ts';
import type { SiftOptions } from './options.ts';

/**
 * Routes every decode step's attention of a transformers.js text-generation pipeline through the sift kernel. Call it right
 * after `pipeline()`, before the first generation.
 *
 * ```ts
 * const generator = await pipeline('text-generation', MODEL, { device: 'webgpu' });
 * const sift = await enableSift(generator);
 * ```
 *
 * @throws {SiftError} with a `code`: `INVALID_OPTION` (an option is out of range), `NO_WEBGPU` (no WebGPU here),
 * `NOT_WEBGPU_PIPELINE` (the pipeline runs on another device), `LATE_ENABLE` (it has generated already),
 * `UNSUPPORTED_MODEL` (its attention is of another kind), `SELF_TEST_FAILED` (the kernels do not compute the right thing on
 * this GPU). The pipeline then works as before.
 */
export async function enableSift(pipeline: unknown, options: SiftOptions = {}): Promise<Sift> {
  return enableTransformers(pipeline, options);
}

export type { Sift } from './adapters/transformers/controller.ts';
export { SiftError, type SiftErrorCode } from './errors.ts';
export type { AttentionShape, DType } from './kernel/shape.ts';
export {
  createSiftAttention,
  type DecodeStep,
  type LayerTensors,
  SiftAttention,
  type SiftAttentionOptions,
  type StepShape,
} from './kernel/sift-attention.ts';
export type { GroupFigures, HeadFigures, HeadStatus, LayerFigures } from './kernel/state.ts';
export type { SiftOptions } from './options.ts';
export type { CacheReport, HeadReport, LayerReport, SiftReport } from './report.ts';
export {
  type Axis,
  defaultPolicy,
  type Exponent,
  paperPolicy,
  probabilityPolicy,
  type Target,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from './tracker/index.ts';
