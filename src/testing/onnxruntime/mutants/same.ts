import { type Change, type Draft, pick, renameInBody, replaceWord, shuffled } from './draft.ts';

/** What ends a line, and with it a comment, in WGSL. */
const LINE_BREAKS = ['\n', '\r\n', '\r', '\v', '\f', '\u0085', '\u2028', '\u2029'];

/** Comments that look like declarations. */
const DECOYS = [
  '/* @group(0) @binding(0) var<storage, read> attention_bias: array<f32>; */',
  '/* /* nested */ struct Uniforms { n_reps: u32 } */',
  '// alias f32 = f16; */ /*',
  '/**/',
];

const change = (name: string, apply: Change['apply']): Change => ({ name, truth: 'same', apply });

/** Applies a change of text to the pieces that declare buffers, constants and structs. */
function onPlainPieces({ declarations }: Draft, edit: (piece: string) => string): void {
  declarations.push((pieces) =>
    pieces.map((piece) => (/^(?:@group|struct|const |var<workgroup>)/.test(piece) ? edit(piece) : piece)),
  );
}

/** Changes of text that WGSL does not distinguish. */
const TEXT: Change[] = [
  change('declarations reordered', ({ random, declarations }) => {
    declarations.push((pieces) => shuffled(random, pieces));
    return '';
  }),
  change('spaces', (draft) => {
    const { random } = draft;
    const space = () => pick(random, ['', '', ' ', '\n', '\t', '  ', '\r\n']);
    onPlainPieces(draft, (piece) => piece.replace(/[:,<>(){};]/g, (mark) => `${space()}${mark}${space()}`));
    return '';
  }),
  change('comments', ({ random, declarations }) => {
    const ending = pick(random, LINE_BREAKS);
    const decoy = pick(random, DECOYS);
    const place = random.integer(12);
    declarations.push((pieces) =>
      pieces.map((piece, i) => (i === place ? `${decoy}\n// a note${ending}${piece}` : piece)),
    );
    return JSON.stringify([ending, decoy]);
  }),
  change('aliases', (draft) => {
    const { random, program, declarations } = draft;
    const { dtype } = program;
    const [type, name] = pick(random, [
      [`vec4<${dtype}>`, 'vector_t'],
      [`array<vec4<${dtype}>>`, 'vectors_t'],
      ['u32', 'index_t'],
      ['f32', 'real_t'],
      ['vec2<f32>', 'vec2f'],
    ] as const);
    onPlainPieces(draft, (piece) => (piece.startsWith('const') ? piece : piece.replaceAll(type, name)));
    if (name !== 'vec2f') declarations.push((pieces) => [...pieces, `alias ${name} = ${type};`]);
    return name;
  }),
  change('attributes in another form', (draft) => {
    const { random, declarations } = draft;
    const [name, write] = pick(random, [
      ['reordered', (n: number) => `@binding(${n}) @group(0)`],
      ['suffix', (n: number) => `@group(0u) @binding(${n}u)`],
      ['comma', (n: number) => `@group(0,) @binding(${n},)`],
      ['hexadecimal', (n: number) => `@group(0) @binding(0x${n.toString(16)})`],
      ['sum', (n: number) => `@group(0) @binding(${n} + 0)`],
      ['constant', (n: number) => `@group(0) @binding(FIRST + ${n})`],
      ['apart', (n: number) => `@ group(0) @ binding(${n})`],
    ] as const);
    onPlainPieces(draft, (piece) =>
      piece.replace(/^@group\(0\) @binding\((\d+)\)/, (_, number: string) => write(Number(number))),
    );
    if (name === 'constant') declarations.push((pieces) => ['const FIRST = 0;', ...pieces]);
    return name;
  }),
  change('access left out', (draft) => {
    onPlainPieces(draft, (piece) => piece.replace('<storage, read>', '<storage>'));
    return '';
  }),
  change('uniforms renamed', ({ texts }) => {
    texts.push((text) => replaceWord(replaceWord(text, 'uniforms', 'params'), 'Uniforms', 'Params'));
    return '';
  }),
  change('directives', ({ texts }) => {
    texts.push((text) => `enable subgroups;\ndiagnostic(off, derivative_uniformity);\n${text}`);
    return '';
  }),
  change('declarations added', ({ random, declarations }) => {
    const added = pick(random, [
      'const unused = 7;',
      'const OTHER_TILE: u32 = 32u;',
      'var<private> present: u32;',
      'var<workgroup> spare: array<vec4<f32>, 8>;',
      'struct Pair { q: u32, alpha: f32 };',
      'fn helper(seqlens_k: u32) -> u32 { var output = seqlens_k; return output; }',
      'const_assert WORKGROUP > 0u;',
    ]);
    declarations.push((pieces) => {
      const place = random.integer(pieces.length);
      return [...pieces.slice(0, place), added, ...pieces.slice(place)];
    });
    return added;
  }),
];

/** Changes of what is where. */
const PLACES: Change[] = [
  change('bindings renumbered', ({ random, program }) => {
    const numbers = shuffled(
      random,
      Array.from({ length: program.storage.length + 4 }, (_, i) => i),
    );
    program.storage.forEach((each, i) => {
      each.binding = numbers[i]!;
    });
    program.uniformBinding = numbers[program.storage.length]!;
    return numbers.join(' ');
  }),
  change('fields reordered', ({ random, program }) => {
    program.uniforms = shuffled(random, program.uniforms);
    return program.uniforms.map(({ name }) => name).join(' ');
  }),
  change('fields padded', ({ random, program }) => {
    const field = pick(random, program.uniforms);
    if (random.integer(2) === 0) field.align = pick(random, [8, 16, 32]);
    else field.size = pick(random, [8, 12, 16]);
    return field.name;
  }),
  change('a field of 0 added', ({ random, program }) => {
    const type = pick(random, ['u32', 'i32', 'f32']);
    const name = pick(random, ['padding', 'cache_layout', 'constructor', 'has_bias']);
    if (program.uniforms.some((field) => field.name === name)) return undefined;
    program.uniforms.splice(random.integer(program.uniforms.length + 1), 0, { role: 'zero', name, type });
    return `${name}: ${type}`;
  }),
  change('an optional field dropped', ({ random, program, values }) => {
    const optional = ['attn_bias_dim0', 'attn_bias_dim1', 'attn_bias_dim3'];
    if (values.local_window_size === 0) optional.push('local_window_size');
    const there = program.uniforms.filter(({ role }) => optional.includes(role));
    if (there.length === 0) return undefined;
    const { role } = pick(random, there);
    program.uniforms = program.uniforms.filter((field) => field.role !== role);
    renameInBody(program, `uniforms\\.${role}`, '0u');
    return role;
  }),
  change('locals renamed', ({ program }) => {
    const names = program.body.flatMap((line) => /^\s*(?:let|var) (\w+)/.exec(line)?.[1] ?? []);
    const taken = new Set([...program.storage, ...program.uniforms].map(({ name }) => name));
    for (const name of new Set(names)) {
      if (!taken.has(name)) renameInBody(program, name, `${name}_of_this`);
    }
    return '';
  }),
  change('other tile sizes', ({ random, program }) => {
    const { constants } = program;
    for (const name of Object.keys(constants)) constants[name] = pick(random, [16, 32, 64, 128, 256]);
    return JSON.stringify(constants);
  }),
];

/** What the host does in another way. */
const HOST: Change[] = [
  change('entries shuffled', ({ host }) => {
    host.shuffled = true;
    return '';
  }),
  change('bare buffers', ({ host }) => {
    host.bare = true;
    return '';
  }),
  change('buffers at an offset', ({ host }) => {
    host.offset = 256;
    return '';
  }),
  change('uniforms at an offset', ({ host, random }) => {
    host.uniformOffset = pick(random, [256, 512]);
    return '';
  }),
];

/** Changes that change no meaning. */
export const SAME: readonly Change[] = [...TEXT, ...PLACES, ...HOST];
