import { fileURLToPath } from 'node:url';

/**
 * The repository's root. It is found from this file's place, so a bundled script must not use it: a bundle lies elsewhere, and starts
 * from the working directory instead.
 */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));
