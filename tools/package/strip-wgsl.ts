import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';
import { ROOT } from '../../lab/root.ts';
import { rename, shortNamesOf } from './rename-wgsl.ts';
import { stripComments } from './strip-comments.ts';

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

/** Whether a line must stay one: the assembler looks for it. */
const isRead = (line: string) => MARK.test(line);

/** Puts lines together that the assembler does not look for. */
function joined(lines: readonly string[]): string {
  return lines.reduce((text, line) => {
    const last = text.slice(text.lastIndexOf('\n') + 1);
    if (text === '' || isRead(last)) return text === '' ? line : `${text}\n${line}`;
    return needSpace(text.at(-1)!, line[0]!) ? `${text} ${line}` : text + line;
  }, '');
}

/**
 * WGSL without what only readers need: comments, indentation, lines and spaces between tokens. What the assembler reads stays: the ends of
 * lines that are marked `// unroll`.
 *
 * WGSL has no string literals, so that `//` always begins a comment.
 *
 * @param names short names for what the files declare
 */
export function stripWgsl(text: string, names: ReadonlyMap<string, string> = new Map()): string {
  const lines = text.split('\n').map((line) => {
    const trimmed = line.trim();
    const mark = MARK.exec(trimmed);
    if (mark) return rename(trimmed.slice(0, mark.index), names) + mark[0];
    return rename(withoutSpaces(trimmed.replace(COMMENT, '')), names);
  });
  return joined(lines.filter((line) => line !== ''));
}

/** Files of the host whose names WGSL has, too. */
const HOST = ['assemble', 'constants', 'schema'].map((name) => join(ROOT, `src/kernel/text/${name}.ts`));

/** The short names of all WGSL files. */
export function allShortNames(): ReadonlyMap<string, string> {
  const folder = join(ROOT, 'wgsl');
  const files = readdirSync(folder, { encoding: 'utf8', recursive: true }).filter((it) =>
    it.endsWith('.wgsl'),
  );
  const host = HOST.map((file) => stripComments(file, readFileSync(file, 'utf8'))).join('\n');
  return shortNamesOf(
    files.sort().map((file) => readFileSync(join(folder, file), 'utf8').replace(/\/\/.*$/gm, '')),
    host,
  );
}

/** Strips the WGSL that modules import as text, and gives it short names. */
export function strippedWgsl(): Plugin {
  let names: ReadonlyMap<string, string>;
  return {
    name: 'stripped-wgsl',
    enforce: 'pre',
    buildStart() {
      names = allShortNames();
    },
    load(id) {
      if (!id.endsWith('.wgsl?raw')) return null;
      const text = stripWgsl(readFileSync(id.slice(0, -'?raw'.length), 'utf8'), names);
      return { code: `export default ${JSON.stringify(text)};`, map: { mappings: '' }, moduleType: 'js' };
    },
  };
}
