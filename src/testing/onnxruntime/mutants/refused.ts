import { type Change, type Draft, isFirst, pick, renameInBody } from './draft.ts';

const change = (name: string, apply: Change['apply']): Change => ({ name, truth: 'refused', apply });

/** Buffers that a program of these kinds may be without. */
const OPTIONAL_BUFFERS: ReadonlySet<string> = new Set(['seqlens_k', 'seqlen_k', 'head_sink']);
/** Fields that may be missing, or be named otherwise while they are 0. */
const OPTIONAL_FIELDS = /^(?:attn_bias_dim\d|local_window_size|new_sequence_length|num_heads)$/;
const NEW_NAMES = [
  'mystery',
  'attention_bias',
  'seqlens_q',
  'constructor',
  'toString',
  'k_scale',
  'page_table',
];

const isCopy = ({ program }: Draft) => program.label === 'CopyKVCache';

/** A field that the program cannot be without. */
function requiredField({ random, program, values }: Draft) {
  const of = program.uniforms.filter(
    ({ role }) =>
      role !== 'zero' &&
      (!OPTIONAL_FIELDS.test(role) || (isFirst(program) && role === 'num_heads')) &&
      values[role] !== undefined,
  );
  return of.length === 0 ? undefined : pick(random, of);
}

const BINDINGS: Change[] = [
  change('a buffer renamed', ({ random, program }) => {
    const buffer = pick(random, program.storage);
    const before = buffer.name;
    buffer.name = pick(random, [`${before}s`, `${before}_cache`, 'constructor', 'valueOf', `_${before}`]);
    renameInBody(program, before, buffer.name);
    return `${before} is now ${buffer.name}`;
  }),
  change('a buffer retyped', ({ random, program }) => {
    const buffer = pick(random, program.storage);
    const { dtype } = program;
    const types = [
      ...['array<u32>', 'array<vec2<u32>>', 'array<atomic<u32>>', 'array<vec4<i32>>', 'f32'],
      ...[
        `array<vec2<${dtype}>>`,
        `array<vec4<${dtype}>, 64>`,
        `array<${dtype}>`,
        `array<array<${dtype}, 4>>`,
      ],
      `array<vec4<${dtype === 'f16' ? 'f32' : 'f16'}>>`,
    ].filter((type) => type !== buffer.type);
    buffer.type = pick(random, types);
    return `${buffer.name}: ${buffer.type}`;
  }),
  change('an access changed', ({ random, program }) => {
    const buffer = pick(random, program.storage);
    buffer.access = buffer.access === 'read' ? 'read_write' : 'read';
    return `${buffer.name}: ${buffer.access}`;
  }),
  change('a buffer dropped', ({ random, program }) => {
    // The reduction of three programs has no metadata.
    const required = program.storage.filter(
      ({ role }) => !OPTIONAL_BUFFERS.has(role) && !(program.label.endsWith('Reduce') && role === 'metadata'),
    );
    const { role, name } = pick(random, required);
    program.storage = program.storage.filter((each) => each.role !== role);
    return name;
  }),
  change('a buffer added', ({ random, declarations }) => {
    const name = pick(random, NEW_NAMES);
    const ending = pick(random, ['\n', '\r', '\u2028', '\u0085']);
    const piece = pick(random, [
      `@group(0) @binding(20) var<storage, read> ${name}: array<f32>;`,
      `@group(1) @binding(0) var<storage> ${name}: array<u32>;`,
      `// more${ending}@group(0) @binding(20) var<storage, read> ${name}: array<f32>;`,
      `@group(0) @binding(20) var ${name}: texture_2d<f32>;`,
      `@group(0) @binding(20) var ${name}: texture_storage_2d<r32float, read>;`,
      `@binding(2) @group(1) var ${name}: sampler;`,
      `@group(0) @binding(20) var<uniform> ${name}: vec4<u32>;`,
    ]);
    const place = random.integer(6);
    declarations.push((pieces) => [...pieces.slice(0, place), piece, ...pieces.slice(place)]);
    return JSON.stringify(piece);
  }),
  change('a number twice', ({ random, program }) => {
    if (program.storage.length < 2) return undefined;
    const [first, ...others] = program.storage;
    const other = pick(random, others);
    other.binding = first!.binding;
    return `${first!.name} and ${other.name}`;
  }),
  change('another group', ({ random, program }) => {
    const buffer = pick(random, program.storage);
    buffer.group = 1;
    return buffer.name;
  }),
];

const FIELDS: Change[] = [
  change('a field renamed', (draft) => {
    const { program, random } = draft;
    // CopyKVCache copies as it did, whatever its uniforms are called.
    const field = isCopy(draft) ? undefined : requiredField(draft);
    if (!field) return undefined;
    const before = field.name;
    field.name = pick(random, [`${before}s`, before.toUpperCase(), 'constructor', `${before}_`]);
    renameInBody(program, before, field.name);
    return `${before} is now ${field.name}`;
  }),
  change('the window renamed', ({ program, values, random }) => {
    const field = program.uniforms.find(({ role }) => role === 'local_window_size');
    if (!field || !values.local_window_size) return undefined;
    field.name = pick(random, ['window', 'sliding_window_size', 'local_window', 'attention_span']);
    renameInBody(program, 'local_window_size', field.name);
    return field.name;
  }),
  change('a field retyped', (draft) => {
    const { random } = draft;
    const field = isCopy(draft) ? undefined : requiredField(draft);
    if (!field) return undefined;
    field.type = pick(
      random,
      ['i32', 'f32', 'u32', 'vec4<u32>'].filter((type) => type !== field.type),
    );
    return `${field.name}: ${field.type}`;
  }),
  change('the window retyped', ({ program, values, random }) => {
    const field = program.uniforms.find(({ role }) => role === 'local_window_size');
    if (!field || !values.local_window_size) return undefined;
    field.type = pick(random, ['i32', 'f32', 'vec4<u32>']);
    if (random.integer(3) === 0) values.local_window_size = -1;
    return `${field.type} ${values.local_window_size}`;
  }),
  change('a field dropped', (draft) => {
    const { program } = draft;
    const field = isCopy(draft) ? undefined : requiredField(draft);
    if (!field) return undefined;
    program.uniforms = program.uniforms.filter((each) => each !== field);
    return field.name;
  }),
  change('a field added that is not 0', (draft) => {
    const { random, program, values } = draft;
    if (isCopy(draft)) return undefined;
    const type = pick(random, ['u32', 'i32', 'f32', 'vec4<u32>']);
    const name = pick(random, ['soft_limit', 'layer_window', 'hasOwnProperty', 'q_offset', 'kv_block']);
    program.uniforms.splice(random.integer(program.uniforms.length + 1), 0, { role: 'added', name, type });
    values.added = pick(
      random,
      [1, 30, 4096, -1, 0.5].filter((each) => type === 'f32' || each % 1 === 0),
    );
    return `${name}: ${type} = ${values.added}`;
  }),
  change('a field twice', ({ program, random }) => {
    const field = pick(random, program.uniforms);
    program.uniforms.push({ ...field, role: 'again' });
    return field.name;
  }),
];

/** Words that the text of an attention must not have, and values that it must not be given. */
const MEANINGS: Change[] = [
  change('a soft cap', ({ random, program }) => {
    if (!isFirst(program)) return undefined;
    const at = program.body.findIndex((line) => line.includes('score = '));
    const line = pick(random, [
      'score = 30.0 * tanh(score / 30.0);',
      'score = soft_cap(score);',
      'let softcap = 50.0;',
    ]);
    program.body.splice(at + 1, 0, line);
    return line;
  }),
  change('a fixed window', ({ random, program, values }) => {
    if (!isFirst(program) || values.local_window_size) return undefined;
    program.uniforms = program.uniforms.filter(({ role }) => role !== 'local_window_size');
    renameInBody(program, 'uniforms\\.local_window_size', 'window_size');
    const line = pick(random, ['const window_size: u32 = 64u;', 'const LOCAL_WINDOW_SIZE = 4096u;']);
    program.globals.push(line);
    return line;
  }),
  change('a value of the pipeline', ({ random, program, declarations }) => {
    if (program.label === 'CopyKVCache') return undefined;
    const piece = pick(random, [
      'override span: u32 = 0u;',
      '@id(7) override scale_of: f32;',
      'override cap = 0.0;',
    ]);
    declarations.push((pieces) => [piece, ...pieces]);
    return piece;
  }),
  change('another label', ({ random, program }) => {
    const { label } = program;
    program.label = pick(
      random,
      [
        ...['FlashAttentionDecodeQKV', 'FlashAttentionDecodeQKT', 'FlashAttentionDecodeSplitVx'],
        ...['FlashAttentionDecodeVxReduce', 'CopyKVCache', 'FlashAttention', 'toString'],
        ...[`${label}2`, label.toLowerCase(), `${label} `, `Turbo${label}`],
      ].filter((other) => other !== label),
    );
    return program.label;
  }),
  change('the length elsewhere', ({ program, values }) => {
    if (!isFirst(program)) return undefined;
    values.total_sequence_length = 0;
    return '';
  }),
  change('a length beyond the capacity', ({ program, values }) => {
    if (!isFirst(program)) return undefined;
    values.total_sequence_length = values.present_sequence_length! + 1;
    return '';
  }),
  change('heads in no whole groups', ({ program, values, random }) => {
    if (!isFirst(program)) return undefined;
    values.n_reps = pick(random, [0, values.num_heads! + 1, 3 * values.num_heads!]);
    return `${values.n_reps}`;
  }),
  change('a small buffer', ({ program, host, random }) => {
    const rows = program.storage.filter(({ role }) => role === 'present_key' || role === 'present_value');
    if (rows.length === 0 || program.label === 'CopyKVCache') return undefined;
    host.small = pick(random, rows).role;
    return host.small;
  }),
];

/** Changes that must be refused. */
export const REFUSED: readonly Change[] = [...BINDINGS, ...FIELDS, ...MEANINGS];
