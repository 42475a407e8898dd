/** Writes out the marked loops that the build has shortened to `#NAME<BOUND{` (tools/package/strip-wgsl.ts). */
export function withMarks(code: string): string {
  return code.replace(/#(\w+)<([^{]+)\{/g, 'for (var $1 = 0u; $1 < $2; $1++) { // unroll\n');
}

/**
 * Unrolls the marked loops of WGSL text: `for (var j = 0u; j < N; j++) { // unroll`, where N is a product of
 * constants. Each turn becomes a block in which `j` is a constant, so that arrays that are indexed by `j` can
 * live in registers. Compilers do not do this reliably.
 *
 * @param code WGSL
 * @param constants the values of the constants that bounds may name
 * @returns the text with its loops written out; loops without the mark stay
 * @throws {Error} if a marked loop has another form or is not closed, or its bound is not a product of known constants
 */
export function unroll(code: string, constants: Readonly<Record<string, unknown>>): string {
  const head = /for \(var (\w+) = 0u; \1 < ([^;]+); \1\+\+\) \{ \/\/ unroll\n/g;
  let result = '';
  let done = 0;
  for (let match = head.exec(code); match; match = head.exec(code)) {
    const [text, name, bound] = match;
    const from = match.index + text.length;
    const to = closing(code, from);
    const body = unroll(code.slice(from, to), constants);
    result += code.slice(done, match.index);
    const count = evaluate(bound!, constants);
    for (let i = 0; i < count; i++) result += `{ const ${name} = ${i}u;\n${body}}\n`;
    done = to + 1;
    head.lastIndex = done;
  }
  result += code.slice(done);
  const missed = /^.*\/\/ unroll$/m.exec(result);
  if (missed)
    throw new Error(
      `This loop is marked, but it does not have the form of one that can be unrolled: ${missed[0]}`,
    );
  return result;
}

/**
 * The index of the brace that closes the block whose first character after the opening brace is at `from`.
 */
function closing(code: string, from: number): number {
  let depth = 1;
  for (let at = from; at < code.length; at++) {
    if (code[at] === '{') depth++;
    if (code[at] === '}' && --depth === 0) return at;
  }
  throw new Error('An unrolled loop is not closed.');
}

/** The value of a product of constants and numbers. */
function evaluate(product: string, constants: Readonly<Record<string, unknown>>): number {
  return product.split('*').reduce((value, factor) => {
    const name = factor.trim();
    const number = Number(constants[name] ?? name.replace(/u$/, ''));
    if (!Number.isInteger(number)) throw new Error(`${name} is not a constant of the kernel.`);
    return value * number;
  }, 1);
}
