// `sift-attention/web-llm`: `enableSift` for engines of web-llm alone.
import type { Sift } from './adapters/shared/sift.ts';
import { enableWebLlm } from './adapters/web-llm/enable.ts';
import { checkEngine } from './adapters/web-llm/engine.ts';
import { enabling, type Support, supportOf } from './enabling.ts';
import { provideTexts } from './kernel/text/later.ts';
import { LATER_TEXTS } from './kernel/text/later-texts.ts';
import type { SiftOptions } from './options.ts';
import type { WebLlmTarget } from './target.ts';

/**
 * Routes every decode step's attention of a web-llm engine through the sift kernel. It is the `enableSift` of `sift-attention` without
 * transformers.js, and it works where no module can be imported later, as in a service worker.
 * @throws {SiftError} with the codes of that function
 */
export function enableSift(target: WebLlmTarget, options: SiftOptions = {}): Promise<Sift> {
  provideTexts(LATER_TEXTS);
  return enabling(options, () => enableWebLlm(target, options));
}

/** Whether anything is known to speak against {@link enableSift}, without side effects. */
export function isSupported(target: WebLlmTarget): Support {
  return supportOf(() => checkEngine(target));
}

export type * from './sift-types.ts';
export type { EngineTarget, WebLlmTarget } from './target.ts';
export * from './values.ts';
