import { LaterPart } from '../../later-part.ts';
import type * as Explanations from './explanations.ts';

/** The words for why sift cannot be enabled. Few pages need them. */
export const WORDS = new LaterPart<typeof Explanations>('The words of an error');

/**
 * What is said where sift cannot be enabled. Where no module can be loaded later, as in a service worker that imports the main entry, the
 * code of the error has to do.
 */
export const words = (): Promise<Partial<typeof Explanations>> => WORDS.get().catch(() => ({}));

/** In place of words that could not be loaded. */
export const SHORT = 'Sift stays off; the code says why.';
