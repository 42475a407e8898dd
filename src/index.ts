import { SUMMARIES } from './adapters/shared/report.ts';
import type { Sift } from './adapters/shared/sift.ts';
import { checkModel, enableTransformers } from './adapters/transformers/enable.ts';
import { COMPARISONS, INSPECTIONS } from './adapters/transformers/transformers-sift.ts';
import { checkEngine } from './adapters/web-llm/engine.ts';
import { isWebLlm } from './adapters/web-llm/target.ts';
import { browserSupport, enabling, type Support, supportOf } from './enabling.ts';
import { LaterPart } from './later-part.ts';
import type { SiftOptions } from './options.ts';
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
 * runtime is not known, or what is for it cannot be loaded here), `SELF_TEST_FAILED` (the kernels do not compute the right thing on this
 * GPU), `OUT_OF_MEMORY` (the GPU has no room for the plugin's buffers), `DEVICE_LOST` (the GPU device is gone), `DISPOSED` (the model was
 * disposed of meanwhile). An aborted `signal` rejects with its reason instead. The model then works as before.
 */
export function enableSift(target: SiftTarget, options: SiftOptions = {}): Promise<Sift> {
  COMPARISONS.load = loadLater;
  INSPECTIONS.load = loadLater;
  SUMMARIES.load = loadLater;
  return enabling(options, async () => {
    if (!isWebLlm(target)) return enableTransformers(target, options);
    const { enableWebLlm } = await WEB_LLM.get();
    return enableWebLlm(target, options);
  });
}

/**
 * What is for web-llm alone. It is loaded when it is needed, because most pages run transformers.js. What is for transformers.js is not:
 * a service worker cannot load modules later.
 */
const WEB_LLM = new LaterPart('The part of sift-attention that is for web-llm', loadLater);

function loadLater(): Promise<typeof import('./later.ts')> {
  return import('./later.ts');
}

/**
 * Whether anything is known to speak against {@link enableSift}, without side effects.
 *
 * - Without a target it asks the browser alone, before a model is downloaded: is there WebGPU, and a GPU adapter? The answer is a promise.
 * - With a target the answer is there at once: there is WebGPU, and the target has a decoder with a KV cache. Only `enableSift` can tell
 *   for certain, because it runs the model: which attention the runtime has chosen for it shows then.
 *
 * ```ts
 * const { supported, reason } = await isSupported();
 * if (!supported) console.log(`Sift stays off: ${reason}`);
 *
 * const answer = isSupported(generator);
 * ```
 *
 * It never throws and never rejects.
 */
export function isSupported(): Promise<Support>;
/** Whether anything is known to speak against {@link enableSift} on a target, without side effects. */
export function isSupported(target: SiftTarget): Support;
export function isSupported(...targets: SiftTarget[]): Support | Promise<Support> {
  if (targets.length === 0) return browserSupport();
  const [target] = targets;
  return supportOf(() => (isWebLlm(target) ? checkEngine(target) : checkModel(target)));
}

export * from './buffers.ts';
export type * from './sift-types.ts';
export type { EngineTarget, ModelTarget, SiftTarget, TransformersTarget, WebLlmTarget } from './target.ts';
export * from './values.ts';
