/** The functions of WGSL text by name, each with its body. */
export function functionsOf(code: string): Map<string, string> {
  const functions = new Map<string, string>();
  for (const match of code.matchAll(/\bfn (\w+)\s*\(/g)) {
    const open = code.indexOf('{', closing(code, match.index + match[0].length - 1, '(', ')'));
    functions.set(match[1]!, code.slice(open, closing(code, open, '{', '}') + 1));
  }
  return functions;
}

/** WGSL text without what its functions do: declarations are all that a parser need understand. */
export function withoutBodies(code: string): string {
  let result = code;
  for (const body of functionsOf(code).values()) result = result.replace(body, '{}');
  return result.replace(/-> [\w<>, ]+ \{\}/g, '{}');
}

/** The place of the bracket that closes the one at `from`. */
function closing(code: string, from: number, open: string, close: string): number {
  let depth = 0;
  for (let at = from; at < code.length; at++) {
    if (code[at] === open) depth++;
    if (code[at] === close && --depth === 0) return at;
  }
  throw new Error('A bracket is not closed.');
}
