// `sift-attention/web-llm`: `enableSift` for engines of web-llm alone.

import { SUMMARIES } from './adapters/shared/report.ts';
import type { Sift } from './adapters/shared/sift.ts';
import { summarise } from './adapters/shared/summary.ts';
import { checkEngine } from './adapters/web-llm/engine.ts';
import { enableWebLlm } from './adapters/web-llm/whole.ts';
import { browserSupport, enabling, type Support, supportOf } from './enabling.ts';
import { TEXTS } from './kernel/text/later.ts';
import { LATER_TEXTS } from './kernel/text/later-texts.ts';
import type { SiftOptions } from './options.ts';
import type { WebLlmTarget } from './target.ts';

/**
 * Routes every decode step's attention of a web-llm engine through the sift kernel. It is the `enableSift` of `sift-attention` without
 * transformers.js, and it works where no module can be imported later, as in a service worker.
 * @throws {SiftError} with the codes of that function
 */
export function enableSift(target: WebLlmTarget, options: SiftOptions = {}): Promise<Sift> {
  TEXTS.part = { LATER_TEXTS };
  SUMMARIES.part = { summarise };
  return enabling(options, () => enableWebLlm(target, options));
}

/**
 * Whether anything is known to speak against {@link enableSift}, without side effects.
 *
 * - Without a target it asks the browser alone, before a model is downloaded: is there WebGPU, and a GPU adapter? The answer is a promise.
 * - With a target the answer is there at once: there is WebGPU, and the models that the engine has loaded are chat models. Only
 *   `enableSift` can tell for certain, because it looks at their compiled code.
 *
 * ```ts
 * const { supported, reason } = await isSupported();
 * if (!supported) console.log(`Sift stays off: ${reason}`);
 *
 * const answer = isSupported(engine);
 * ```
 *
 * It never throws and never rejects.
 */
export function isSupported(): Promise<Support>;
/** Whether anything is known to speak against {@link enableSift} on a target, without side effects. */
export function isSupported(target: WebLlmTarget): Support;
export function isSupported(...targets: WebLlmTarget[]): Support | Promise<Support> {
  if (targets.length === 0) return browserSupport();
  const [target] = targets;
  return supportOf(() => checkEngine(target));
}

export type * from './sift-types.ts';
export type { EngineTarget, WebLlmTarget } from './target.ts';
export * from './values.ts';
