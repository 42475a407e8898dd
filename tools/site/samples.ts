// The code samples of the documentation, as files that a compiler reads.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../lab/root.ts';

/** A block of code in a page. */
export interface Sample {
  /** Path of the page in the repository. */
  page: string;
  /** Line of the page at which the code begins, from 1. */
  line: number;
  code: string;
}

/** All `ts` blocks of a page. */
export function samplesOf(page: string, markdown: string): Sample[] {
  return [...markdown.matchAll(/^```(?:ts|typescript)\b[^\n]*\n([\s\S]*?)^```$/gm)].map((match) => ({
    page,
    line: markdown.slice(0, match.index).split('\n').length + 1,
    code: match[1]!,
  }));
}

/** The samples of pages of the repository. */
export const samplesOfPages = (pages: readonly string[]): Sample[] =>
  pages.flatMap((page) => samplesOf(page, readFileSync(join(ROOT, page), 'utf8')));

/** Whether code declares or imports a name. */
const declares = (code: string, name: string): boolean =>
  new RegExp(`\\b(?:const|let|function|class)\\s+${name}\\b`).test(code) ||
  new RegExp(`\\b(?:const|let)\\s+\\{[^}]*\\b${name}\\b(?!\\s*:)[^}]*\\}`).test(code) ||
  new RegExp(`^import\\b[^;]*[{,\\s]${name}\\b[^;]*from`, 'm').test(code);

/**
 * A sample as a module, in which names of the context are imported that it uses and does not declare. They stand in front of its first
 * line, so that lines are the page's.
 * @param context names of samples-context.ts
 * @param from where the module finds them
 */
export function asModule({ code, line }: Sample, context: readonly string[], from: string): string {
  const used = context.filter((name) => new RegExp(`\\b${name}\\b`).test(code) && !declares(code, name));
  const imported = used.length > 0 ? `import { ${used.join(', ')} } from '${from}'; ` : '';
  return `${'\n'.repeat(line - 1)}${imported}${code}export {};\n`;
}

/** The names that samples-context.ts exports. */
export function contextNames(): string[] {
  const text = readFileSync(join(ROOT, 'tools/site/samples-context.ts'), 'utf8');
  const lists = [...text.matchAll(/^export \{ ([^}]*) \}/gm)].flatMap((match) => match[1]!.split(', '));
  const declared = [...text.matchAll(/^export declare const (\w+)/gm)].map((match) => match[1]!);
  return [...lists, ...declared];
}
