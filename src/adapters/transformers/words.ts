import type * as Explanations from './explanations.ts';

/**
 * What is said where sift cannot be enabled. Few pages need these words, so that they are loaded when one does. Where no module can be
 * loaded later, as in a service worker, the code of the error has to do.
 */
export const words = (): Promise<Partial<typeof Explanations>> =>
  import('./explanations.ts').catch(() => ({}));

/** In place of words that could not be loaded. */
export const SHORT = 'Sift cannot be enabled; the code says why.';
