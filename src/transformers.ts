// `sift-attention/transformers`: `enableSift` for models of transformers.js alone.
import type { Sift } from './adapters/shared/sift.ts';
import { checkModel, enableTransformers } from './adapters/transformers/enable.ts';
import { enabling, type Support, supportOf } from './enabling.ts';
import { provideTexts } from './kernel/text/later.ts';
import { LATER_TEXTS } from './kernel/text/later-texts.ts';
import type { SiftOptions } from './options.ts';
import type { TransformersTarget } from './target.ts';

/**
 * Routes every decode step's attention of a transformers.js model through the sift kernel. It is the `enableSift` of `sift-attention`
 * without web-llm.
 * @throws {SiftError} with the codes of that function
 */
export function enableSift(target: TransformersTarget, options: SiftOptions = {}): Promise<Sift> {
  provideTexts(LATER_TEXTS);
  return enabling(options, () => enableTransformers(target, options));
}

/** Whether anything is known to speak against {@link enableSift}, without side effects. */
export function isSupported(target: TransformersTarget): Support {
  return supportOf(() => checkModel(target));
}

export type * from './sift-types.ts';
export type { ModelTarget, TransformersTarget } from './target.ts';
export * from './values.ts';
