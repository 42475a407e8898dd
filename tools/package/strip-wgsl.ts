import { readFile } from 'node:fs/promises';
import type { Plugin } from 'vite';

/** A line that the assembler reads: the constants that a file needs. */
const HEAD = /^\/\/ Constants: /;

/** The mark of a loop that the assembler unrolls. It looks for the line as it was written. */
const MARK = / \/\/ unroll$/;

const COMMENT = /\s*\/\/.*$/;

const WORD = /\w/;
const OPERATOR = /[-+*/=<>!&|^%~]/;

/** Whether two characters would read differently without the space between them: words, and operators such as `- -`, `/ *` and `> =`. */
function needSpace(before: string, after: string): boolean {
  return (WORD.test(before) && WORD.test(after)) || (OPERATOR.test(before) && OPERATOR.test(after));
}

function withoutSpaces(line: string): string {
  return line.replace(/(\S)\s+(?=(\S))/g, (_, before: string, after: string) =>
    needSpace(before, after) ? `${before} ` : before,
  );
}

/**
 * WGSL without what only readers need: comments, indentation, blank lines and spaces between tokens. What the assembler reads stays, which
 * is the heads `// Constants:` and the lines marked `// unroll`, and so do the lines, so that a browser's messages can be understood.
 *
 * WGSL has no string literals, so that `//` always begins a comment.
 */
export function stripWgsl(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const trimmed = line.trim();
      if (HEAD.test(trimmed) || MARK.test(trimmed)) return trimmed;
      return withoutSpaces(trimmed.replace(COMMENT, ''));
    })
    .filter((line) => line !== '')
    .join('\n');
}

/** Strips the WGSL that modules import as text, in builds. */
export function strippedWgsl(): Plugin {
  return {
    name: 'stripped-wgsl',
    enforce: 'pre',
    apply: 'build',
    async load(id) {
      if (!id.endsWith('.wgsl?raw')) return null;
      const text = await readFile(id.slice(0, -'?raw'.length), 'utf8');
      return {
        code: `export default ${JSON.stringify(stripWgsl(text))};`,
        map: { mappings: '' },
        moduleType: 'js',
      };
    },
  };
}
