// `sift-attention/transformers`: `enableSift` for models of transformers.js alone.

import { SUMMARIES } from './adapters/shared/report.ts';
import type { Sift } from './adapters/shared/sift.ts';
import { summarise } from './adapters/shared/summary.ts';
import { compare } from './adapters/transformers/compare.ts';
import { checkModel, enableTransformers } from './adapters/transformers/enable.ts';
import { Inspection } from './adapters/transformers/inspection.ts';
import { COMPARISONS, INSPECTIONS } from './adapters/transformers/transformers-sift.ts';
import { browserSupport, enabling, type Support, supportOf } from './enabling.ts';
import { TEXTS } from './kernel/text/later.ts';
import { LATER_TEXTS } from './kernel/text/later-texts.ts';
import type { SiftOptions } from './options.ts';
import type { TransformersTarget } from './target.ts';

/**
 * Routes every decode step's attention of a transformers.js model through the sift kernel. It is the `enableSift` of `sift-attention`
 * without web-llm.
 * @throws {SiftError} with the codes of that function
 */
export function enableSift(target: TransformersTarget, options: SiftOptions = {}): Promise<Sift> {
  TEXTS.part = { LATER_TEXTS };
  COMPARISONS.part = { compare };
  INSPECTIONS.part = { Inspection };
  SUMMARIES.part = { summarise };
  return enabling(options, () => enableTransformers(target, options));
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
export function isSupported(target: TransformersTarget): Support;
export function isSupported(...targets: TransformersTarget[]): Support | Promise<Support> {
  if (targets.length === 0) return browserSupport();
  const [target] = targets;
  return supportOf(() => checkModel(target));
}

export type * from './sift-types.ts';
export type { ModelTarget, TransformersTarget } from './target.ts';
export * from './values.ts';
