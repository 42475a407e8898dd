import type { Sift } from './adapters/shared/sift.ts';
import { enableTransformers } from './adapters/transformers/enable.ts';
import { enableWebLlm } from './adapters/web-llm/enable.ts';
import { isWebLlm } from './adapters/web-llm/engine.ts';
import type { SiftOptions } from './options.ts';

/**
 * Routes every decode step's attention through the sift kernel: of a transformers.js text-generation pipeline, or of a web-llm
 * engine (in a worker: of its handler). Call it before the first generation; on web-llm it may come before a model is loaded.
 *
 * ```ts
 * const generator = await pipeline('text-generation', MODEL, { device: 'webgpu' });
 * const sift = await enableSift(generator);
 *
 * const engine = await CreateMLCEngine(MODEL);
 * const sift = await enableSift(engine);
 * ```
 *
 * @throws {SiftError} with a `code`: `INVALID_OPTION` (an option is out of range), `NO_WEBGPU` (no WebGPU here),
 * `NOT_WEBGPU_PIPELINE` (the pipeline runs on another device), `LATE_ENABLE` (it has generated already),
 * `UNSUPPORTED_MODEL` (its attention is of another kind), `UNSUPPORTED_RUNTIME` (the version of the runtime is not known),
 * `SELF_TEST_FAILED` (the kernels do not compute the right thing on this GPU), `OUT_OF_MEMORY` (the GPU has no room for the
 * plugin's buffers), `DEVICE_LOST` (the GPU device is gone), `DISPOSED` (the pipeline was disposed of meanwhile). The pipeline
 * then works as before.
 */
export async function enableSift(pipeline: unknown, options: SiftOptions = {}): Promise<Sift> {
  if (isWebLlm(pipeline)) return enableWebLlm(pipeline, options);
  return enableTransformers(pipeline, options);
}

export type { Sift } from './adapters/shared/sift.ts';
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
export type { GroupFigures, HeadFigures, HeadStatus, LayerFigures } from './kernel/step/layer-state.ts';
export type { SiftFrom, SiftOptions } from './options.ts';
export {
  type Axis,
  type Dropped,
  type Exponent,
  learnedPolicy,
  type Normaliser,
  paperPolicy,
  presetPolicy,
  probabilityPolicy,
  type Quality,
  type Target,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from './policy/index.ts';
export type { CacheReport, CrossoverReport, HeadReport, LayerReport, SiftReport } from './report.ts';
