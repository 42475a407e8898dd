import { readFile } from 'node:fs/promises';
import { parseSync } from 'rolldown/utils';
import type { Plugin } from 'vite';

/** Comments that tools read. */
const ANNOTATION = /[@#]__|@vite-/;

/** TypeScript without its comments. Code stays at its line and column, so that source maps lead to the right places of the repository. */
export function stripComments(file: string, text: string): string {
  let result = '';
  let done = 0;
  for (const { start, end, value } of parseSync(file, text).comments) {
    if (ANNOTATION.test(value)) continue;
    const codeFollows = /^[^\S\n]*\S/.test(text.slice(end));
    result += text.slice(done, start);
    result += text.slice(start, end).replace(/[^\n]/g, codeFollows ? ' ' : '');
    done = end;
  }
  return result + text.slice(done);
}

/**
 * Leaves comments out of the sources that source maps bring along. They are about half of a source map's weight, and the declarations of
 * the package have those that its users need.
 */
export function strippedComments(): Plugin {
  return {
    name: 'stripped-comments',
    enforce: 'pre',
    apply: 'build',
    async load(id) {
      if (!id.endsWith('.ts')) return null;
      return { code: stripComments(id, await readFile(id, 'utf8')), moduleType: 'ts' };
    },
  };
}
