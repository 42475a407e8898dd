// Short names for what WGSL files declare. Kernels are put together from several files and from declarations of the host, so that one name
// must mean the same everywhere: names are given for all files at once, and none is given to what the host names, too.

/** Declarations: of functions, types, variables, and of members and parameters, which a colon follows. */
const DECLARED =
  /\b(?:fn|struct|alias|let|const|override|var(?:<[^>]*>)?)\s+([A-Za-z_]\w*)|\b([A-Za-z_]\w*)\s*:(?!:)/g;

/** Names that a call or a construction stands behind. */
const CALLED = /\b([A-Za-z_]\w*)\s*\(/g;
const CALLABLE = /\b(?:fn|struct|alias)\s+([A-Za-z_]\w*)/g;

/** Entry points, which pipelines name. */
const ENTRY_POINTS = /@compute\b[^{;]*?\bfn\s+(\w+)/g;

/** What attributes name, such as `@builtin(position)`. */
const ATTRIBUTES = /@(\w+)(?:\s*\(([^)]*)\))?/g;

/** Words of the language that stand where names may stand. */
const LANGUAGE = [
  'default',
  'function',
  'private',
  'workgroup',
  'storage',
  'uniform',
  'read',
  'write',
  'read_write',
];

/** Components of vectors, which look like members. */
const COMPONENTS = /^([xyzw]{1,4}|[rgba]{1,4})$/;

const CONSTANT = /^[A-Z][A-Z0-9_]*$/;

const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)];
const wordsOf = (text: string) => text.match(/[A-Za-z_]\w*/g) ?? [];

/** Names of one letter, then of a letter and a digit: none of these is a word of WGSL. */
function* shortNames(): Generator<string> {
  const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'];
  yield* letters;
  for (let digit = 0; digit < 10; digit++) for (const letter of letters) yield letter + digit;
}

/**
 * Short names for what files declare, the shortest for what is named most often. Constants keep theirs.
 *
 * @param files the WGSL of all files, without comments
 * @param host the code that writes WGSL around them, or compiles it: what it names keeps its name
 */
export function shortNamesOf(files: readonly string[], host: string): ReadonlyMap<string, string> {
  const text = files.join('\n');
  const callable = new Set(matches(text, CALLABLE).map(([, name]) => name!));
  const kept = new Set([
    ...LANGUAGE,
    ...wordsOf(host),
    ...matches(text, ENTRY_POINTS).map(([, name]) => name!),
    ...matches(text, ATTRIBUTES).flatMap(([, name, values]) => [name!, ...wordsOf(values ?? '')]),
    // A built-in function that has the name of a variable.
    ...matches(text, CALLED).flatMap(([, name]) => (callable.has(name!) ? [] : [name!])),
  ]);
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const declared = new Set(matches(text, DECLARED).map(([, name, member]) => name ?? member!));
  const renamed = [...declared]
    .filter((name) => !kept.has(name) && !CONSTANT.test(name) && !COMPONENTS.test(name))
    .sort((a, b) => counts.get(b)! - counts.get(a)! || (a < b ? -1 : 1));
  // What is taken: every word that stays, wherever it is, since it may be in sight of a new name.
  const taken = new Set([...counts.keys(), ...kept]);
  const names = shortNames();
  const result = new Map<string, string>();
  for (const name of renamed) {
    let short = names.next().value;
    while (short && (taken.has(short) || COMPONENTS.test(short))) short = names.next().value;
    if (!short) throw new Error('There are more names than short ones.');
    if (short.length < name.length) result.set(name, short);
  }
  return result;
}

/** WGSL without comments under short names. Numbers such as `1u` and `0x1f` stay. */
export function rename(line: string, names: ReadonlyMap<string, string>): string {
  return line.replace(/\b[A-Za-z_]\w*/g, (word) => names.get(word) ?? word);
}
