import { type Change, type Draft, pick, swapInBody } from './draft.ts';

const change = (name: string, apply: Change['apply']): Change => ({ name, truth: 'hidden', apply });

/** Lines that stay: without a loop's own it may never end, and what a missing barrier does is left to chance. */
const FIXED = /^\s*(?:for \(|\}|if \(.*\{$|\} else|workgroupBarrier)/;

/** The lines of `main` that can be changed. */
function changeable({ program }: Draft): number[] {
  return program.body.flatMap((line, i) => (FIXED.test(line) ? [] : [i]));
}

/** What stands for what else. */
const OPERATORS: readonly (readonly [pattern: RegExp, ...others: string[]])[] = [
  [/ \+ /g, ' - ', ' * '],
  [/ - /g, ' + '],
  [/ \* /g, ' + ', ' / '],
  [/ \/ /g, ' * '],
  [/ % /g, ' / '],
  [/ \+= /g, ' -= ', ' = '],
  [/ && /g, ' || '],
  [/ >= /g, ' > ', ' < '],
  [/ > /g, ' >= ', ' < '],
  [/ < /g, ' <= ', ' > '],
  [/\bmax\(/g, 'min('],
  [/\bmin\(/g, 'max('],
  [/\bexp\(/g, 'exp2(', 'abs('],
  [/\.x\b/g, '.y'],
  [/\.y\b/g, '.x'],
];

const NUMBERS = /\b\d+\.\d+\b|\b\d+u\b/g;

/** Replaces one of the places where a pattern matches. */
function replaceOne(line: string, pattern: RegExp, at: number, by: (found: string) => string): string {
  let i = 0;
  return line.replace(pattern, (found) => (i++ === at ? by(found) : found));
}

/** Changes of what is computed that what is bound does not show. */
export const HIDDEN: readonly Change[] = [
  change('a line dropped', (draft) => {
    const { random, program } = draft;
    // Without what a variable is, the text is no program.
    const lines = changeable(draft).filter((i) => !/^\s*(?:let|var) /.test(program.body[i]!));
    if (lines.length === 0) return undefined;
    const line = pick(random, lines);
    return `- ${program.body.splice(line, 1)[0]!.trim()}`;
  }),
  change('an operator changed', (draft) => {
    const { random, program } = draft;
    const conditions = program.body.flatMap((line, i) => (/^\s*if \(/.test(line) ? [i] : []));
    const places = [...changeable(draft), ...conditions].flatMap((i) =>
      OPERATORS.flatMap(([pattern, ...others]) =>
        [...program.body[i]!.matchAll(pattern)].map((_, at) => ({ i, pattern, others, at })),
      ),
    );
    if (places.length === 0) return undefined;
    const { i, pattern, others, at } = pick(random, places);
    const before = program.body[i]!;
    const by = pick(random, others);
    program.body[i] = replaceOne(before, pattern, at, () => by);
    return `${before.trim()} -> ${program.body[i]!.trim()}`;
  }),
  change('a number changed', (draft) => {
    const { random, program } = draft;
    const places = changeable(draft).flatMap((i) =>
      [...program.body[i]!.matchAll(NUMBERS)].map((_, at) => ({ i, at })),
    );
    if (places.length === 0) return undefined;
    const { i, at } = pick(random, places);
    const before = program.body[i]!;
    program.body[i] = replaceOne(before, NUMBERS, at, (found) =>
      found.endsWith('u') ? `${Number.parseInt(found, 10) + 1}u` : `${(Number(found) + 0.5).toFixed(2)}`,
    );
    return `${before.trim()} -> ${program.body[i]!.trim()}`;
  }),
  change('two buffers trade names', ({ random, program }) => {
    const { storage } = program;
    const pairs = storage.flatMap((a, i) =>
      storage
        .slice(i + 1)
        .flatMap((b) => (a.type === b.type && a.access === b.access ? [[a, b] as const] : [])),
    );
    if (pairs.length === 0) return undefined;
    const [a, b] = pick(random, pairs);
    [a.name, b.name] = [b.name, a.name];
    swapInBody(program, a.name, b.name);
    return `${a.name} and ${b.name}`;
  }),
  change('two fields trade names', ({ random, program }) => {
    const fields = program.uniforms.filter(({ type, role }) => type === 'u32' && role !== 'zero');
    if (fields.length < 2) return undefined;
    const a = pick(random, fields);
    const b = pick(
      random,
      fields.filter((each) => each !== a),
    );
    [a.name, b.name] = [b.name, a.name];
    swapInBody(program, a.name, b.name);
    return `${a.name} and ${b.name}`;
  }),
];
