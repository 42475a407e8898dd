import { IdleSift } from './adapters/shared/idle-sift.ts';
import type { Sift } from './adapters/shared/sift.ts';
import { checkModel, enableTransformers } from './adapters/transformers/enable.ts';
import { enableWebLlm } from './adapters/web-llm/enable.ts';
import { checkEngine, isWebLlm } from './adapters/web-llm/engine.ts';
import { SiftError } from './errors.ts';
import { resolvePolicy, resolveUnsupported, type SiftOptions } from './options.ts';
import type { SiftTarget } from './target.ts';

/**
 * Routes every decode step's attention through the sift kernel: of a transformers.js model, or of a web-llm engine. On transformers.js
 * call it before the first generation, or at any time if `sift-attention/register` was imported before the first model was loaded; on
 * web-llm it may come before a model is loaded.
 *
 * ```ts
 * const generator = await pipeline('text-generation', MODEL, { device: 'webgpu' });
 * const sift = await enableSift(generator);
 *
 * const model = await AutoModelForCausalLM.from_pretrained(MODEL, { device: 'webgpu' });
 * const sift = await enableSift(model);
 *
 * const engine = await CreateMLCEngine(MODEL);
 * const sift = await enableSift(engine);
 * ```
 *
 * @throws {SiftError} with a `code`: `INVALID_OPTION` (an option is out of range), `NO_WEBGPU` (no WebGPU here),
 * `NOT_WEBGPU_PIPELINE` (the model does not run on WebGPU), `DEVICE_NOT_FOUND` (pass the option `device`), `LATE_ENABLE` (the model's
 * attention was compiled before), `UNSUPPORTED_MODEL` (its attention is of another kind), `UNSUPPORTED_RUNTIME` (the version of the
 * runtime is not known), `SELF_TEST_FAILED` (the kernels do not compute the right thing on this GPU), `OUT_OF_MEMORY` (the GPU has no
 * room for the plugin's buffers), `DEVICE_LOST` (the GPU device is gone), `DISPOSED` (the model was disposed of meanwhile). The model
 * then works as before.
 */
export async function enableSift(target: SiftTarget, options: SiftOptions = {}): Promise<Sift> {
  const policy = resolvePolicy(options);
  const ignore = resolveUnsupported(options) === 'ignore';
  try {
    return await (isWebLlm(target) ? enableWebLlm(target, options) : enableTransformers(target, options));
  } catch (error) {
    if (!ignore || !(error instanceof SiftError)) throw error;
    // The caller's mistakes are not a matter of what is supported here.
    if (error.code === 'INVALID_OPTION' || error.code === 'DISPOSED') throw error;
    return new IdleSift(policy, error);
  }
}

/**
 * Whether anything is known to speak against {@link enableSift}, without side effects: there is WebGPU, and the target has a decoder with
 * a KV cache. Only `enableSift` can tell for certain, because it runs the model: which attention the runtime has chosen for it shows then.
 */
export function isSupported(target: SiftTarget): { supported: boolean; reason: string | null } {
  try {
    if (isWebLlm(target)) checkEngine(target);
    else checkModel(target);
    return { supported: true, reason: null };
  } catch (error) {
    return { supported: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

export type { EnableProgress, EnableStage } from './adapters/shared/progress.ts';
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
  type Keys,
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
export type { EngineTarget, ModelTarget, SiftTarget } from './target.ts';
