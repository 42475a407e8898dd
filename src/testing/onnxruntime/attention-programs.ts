import type { DType } from '../../kernel/shape.ts';
import { fieldsOf, type StandInProgram, storageOf } from './program.ts';

/** Which of the runtime's builds the programs stand for, and with which of its options. */
export interface ProgramOptions {
  dtype: DType;
  /**
   * `two`: FlashAttentionDecodeQKV and FlashAttentionDecodeVxReduce, as from 1.30 on. `three`: FlashAttentionDecodeQKT,
   * FlashAttentionDecodeSplitVx and FlashAttentionDecodeVxReduce, as in 1.25 and 1.26.
   */
  form: 'two' | 'three';
  /** The lengths of the sequences are in the buffer `seqlens_k`. Only of the form `two`. */
  seqlens?: boolean;
  /** There is a uniform `local_window_size`, which onnxruntime has since September 2026. Only of the form `two`. */
  window?: boolean;
  /** The reduction has attention sinks. Only of the form `two`. */
  sinks?: boolean;
  /** The length is in the buffer `total_sequence_length_input`, as for graph capture. Only of the form `two`. */
  captured?: boolean;
  /** K and V are bytes, four in a word, and each row begins with its scale in f32. */
  quantised?: boolean;
}

/** Keys of a tile. */
export const TILE = 64;
/** Invocations of the reduction, each of which has four elements of a head. */
export const REDUCE_WORKGROUP = 16;

/** The lowest float: the score of a key that is not seen. */
const LOWEST = 'const LOWEST: f32 = -3.4028234e38;';
/** Scores of a tile. */
const SCORES = 'var<workgroup> scores: array<f32, TILE>;';

/** The WGSL of four elements of a row of K or V, as vec4<f32>. */
function rowElements(buffer: string, quantised: boolean): string {
  return quantised
    ? `unpack4x8snorm(${buffer}[at * (uniforms.head_size_vec + 1u) + 1u + d]) * bitcast<f32>(${buffer}[at * (uniforms.head_size_vec + 1u)])`
    : `vec4<f32>(${buffer}[at * uniforms.head_size_vec + d])`;
}

const key = (quantised = false) =>
  `fn key_elements(at: u32, d: u32) -> vec4<f32> { return ${rowElements('present_key', quantised)}; }`;
const value = (quantised = false) =>
  `fn value_elements(at: u32, d: u32) -> vec4<f32> { return ${rowElements('present_value', quantised)}; }`;

/** Which tile, query head and sequence a workgroup has. The tile runs fastest. */
const PLACE = [
  'let tiles = (total + TILE - 1u) / TILE;',
  'let tile = workgroup.x % tiles;',
  'let row = workgroup.x / tiles;',
];

/** The scores of a tile, and its largest. `first` and `length` bound the keys that are seen. */
const TILE_SCORES = [
  'for (var i = lane; i < TILE; i += WORKGROUP) {',
  '  let key = tile * TILE + i;',
  '  var score = LOWEST;',
  '  if (key >= first && key < length) {',
  '    var product = 0.0;',
  '    for (var d = 0u; d < uniforms.head_size_vec; d++) {',
  '      product += dot(vec4<f32>(q[row * uniforms.head_size_vec + d]), key_elements(kv_row + key, d));',
  '    }',
  '    score = product * uniforms.alpha;',
  '  }',
  '  scores[i] = score;',
  '}',
  'workgroupBarrier();',
  'var largest = LOWEST;',
  'for (var i = 0u; i < TILE; i++) {',
  '  largest = max(largest, scores[i]);',
  '}',
  'var denominator = 0.0;',
  'for (var i = 0u; i < TILE; i++) {',
  '  denominator += select(0.0, exp(scores[i] - largest), scores[i] > LOWEST);',
  '}',
  'if (lane == 0u) {',
  '  metadata[row * uniforms.num_present_sequence_length_tile + tile] = vec2<f32>(largest, denominator);',
  '}',
];

/** Scores, softmax and weighted sums of each tile: `FlashAttentionDecodeQKV`. */
export function attendProgram(options: ProgramOptions): StandInProgram {
  const { dtype, seqlens = true, window = false, captured = false, quantised = false } = options;
  const vectors = `array<vec4<${dtype}>>`;
  const rows = quantised ? 'array<u32>' : vectors;
  const lengths: [string, string][] = [];
  if (seqlens) lengths.push(['seqlens_k', 'array<i32>']);
  if (captured) lengths.push(['total_sequence_length_input', 'array<i32>']);
  return {
    label: 'FlashAttentionDecodeQKV',
    dtype,
    constants: { TILE, WORKGROUP: 64 },
    storage: storageOf(
      ['q', vectors],
      ['present_key', rows],
      ['present_value', rows],
      ...lengths,
      ['out_split_vx', vectors, 'read_write'],
      ['metadata', 'array<vec2<f32>>', 'read_write'],
    ),
    uniforms: fieldsOf(
      'head_size_vec',
      'total_sequence_length',
      'alpha: f32',
      'present_sequence_length',
      'n_reps',
      'num_present_sequence_length_tile',
      'num_heads',
      'batch_size',
      'attn_bias_dim0',
      'attn_bias_dim1',
      'attn_bias_dim3',
      'new_sequence_length',
      ...(window ? ['local_window_size'] : []),
    ),
    uniformBinding: 5 + lengths.length,
    globals: [LOWEST, SCORES, key(quantised), value(quantised)],
    body: [
      `let total = ${captured ? 'u32(total_sequence_length_input[0])' : 'uniforms.total_sequence_length'};`,
      ...PLACE,
      'let head = row % uniforms.num_heads;',
      'let sequence = row / uniforms.num_heads;',
      'let kv_head = sequence * (uniforms.num_heads / uniforms.n_reps) + head / uniforms.n_reps;',
      'let kv_row = kv_head * uniforms.present_sequence_length;',
      `let length = ${seqlens ? 'min(u32(max(seqlens_k[sequence], 0)) + 1u, uniforms.present_sequence_length)' : 'total'};`,
      'var first = 0u;',
      ...(window
        ? [
            'if (uniforms.local_window_size > 0u) {',
            '  first = length - min(length, uniforms.local_window_size);',
            '}',
          ]
        : []),
      ...TILE_SCORES,
      'for (var d = lane; d < uniforms.head_size_vec; d += WORKGROUP) {',
      '  var sum = vec4<f32>();',
      '  for (var i = 0u; i < TILE; i++) {',
      '    if (scores[i] > LOWEST) {',
      '      sum += exp(scores[i] - largest) * value_elements(kv_row + tile * TILE + i, d);',
      '    }',
      '  }',
      '  let place = (row * uniforms.num_present_sequence_length_tile + tile) * uniforms.head_size_vec + d;',
      `  out_split_vx[place] = vec4<${dtype}>(select(vec4<f32>(), sum / denominator, denominator > 0.0));`,
      '}',
    ],
  };
}

/** The scores of each tile, its largest score and its sum: `FlashAttentionDecodeQKT`. */
export function scoresProgram({ dtype }: ProgramOptions): StandInProgram {
  return {
    label: 'FlashAttentionDecodeQKT',
    dtype,
    constants: { TILE, WORKGROUP: 64 },
    storage: storageOf(
      ['q', `array<vec4<${dtype}>>`],
      ['present_key', `array<vec4<${dtype}>>`],
      ['output', `array<${dtype}>`, 'read_write'],
      ['metadata', 'array<vec2<f32>>', 'read_write'],
    ),
    uniforms: fieldsOf(
      'head_size_vec',
      'total_sequence_length',
      'alpha: f32',
      'present_sequence_length',
      'n_reps',
      'num_present_sequence_length_tile',
      'num_heads',
      'batch_size',
    ),
    uniformBinding: 4,
    globals: [LOWEST, SCORES, key()],
    body: [
      'let total = uniforms.total_sequence_length;',
      ...PLACE,
      'let kv_row = (row / uniforms.n_reps) * uniforms.present_sequence_length;',
      'let length = total;',
      'let first = 0u;',
      ...TILE_SCORES,
      'for (var i = lane; i < TILE; i += WORKGROUP) {',
      '  if (tile * TILE + i < length) {',
      `    output[row * uniforms.present_sequence_length + tile * TILE + i] = ${dtype}(scores[i]);`,
      '  }',
      '}',
    ],
  };
}

/** The weighted sums of each tile, by the softmax over all of them: `FlashAttentionDecodeSplitVx`. */
export function valuesProgram({ dtype }: ProgramOptions): StandInProgram {
  return {
    label: 'FlashAttentionDecodeSplitVx',
    dtype,
    constants: { TILE, WORKGROUP: 64 },
    storage: storageOf(
      ['metadata', 'array<vec2<f32>>'],
      ['qk', `array<${dtype}>`],
      ['present_value', `array<vec4<${dtype}>>`],
      ['out_split_vx', `array<vec4<${dtype}>>`, 'read_write'],
    ),
    uniforms: fieldsOf(
      'total_sequence_length',
      'head_size_vec',
      'present_sequence_length',
      'n_reps',
      'num_present_sequence_length_tile',
      'batch_heads',
    ),
    uniformBinding: 4,
    globals: [LOWEST, value()],
    body: [
      'let total = uniforms.total_sequence_length;',
      ...PLACE,
      'let kv_row = (row / uniforms.n_reps) * uniforms.present_sequence_length;',
      'let base = row * uniforms.num_present_sequence_length_tile;',
      'var largest = LOWEST;',
      'for (var t = 0u; t < tiles; t++) {',
      '  largest = max(largest, metadata[base + t].x);',
      '}',
      'var denominator = 0.0;',
      'for (var t = 0u; t < tiles; t++) {',
      '  denominator += metadata[base + t].y * exp(metadata[base + t].x - largest);',
      '}',
      'for (var d = lane; d < uniforms.head_size_vec; d += WORKGROUP) {',
      '  var sum = vec4<f32>();',
      '  for (var i = tile * TILE; i < min(total, tile * TILE + TILE); i++) {',
      '    let weight = exp(f32(qk[row * uniforms.present_sequence_length + i]) - largest);',
      '    sum += weight * value_elements(kv_row + i, d);',
      '  }',
      `  out_split_vx[(base + tile) * uniforms.head_size_vec + d] = vec4<${dtype}>(sum / denominator);`,
      '}',
    ],
  };
}

/** Merges the tiles: `FlashAttentionDecodeVxReduce`, of either form. */
export function reduceProgram({
  dtype,
  form,
  seqlens = true,
  sinks = false,
}: ProgramOptions): StandInProgram {
  const vectors = `array<vec4<${dtype}>>`;
  const two = form === 'two';
  const extras: [string, string][] = [];
  if (two) extras.push(['metadata', 'array<vec2<f32>>']);
  if (two && seqlens) extras.push(['seqlens_k', 'array<i32>']);
  if (sinks) extras.push(['head_sink', `array<${dtype}>`]);
  return {
    label: 'FlashAttentionDecodeVxReduce',
    dtype,
    constants: { WORKGROUP: REDUCE_WORKGROUP },
    storage: storageOf(['input', vectors], ...extras, ['output', vectors, 'read_write']),
    uniforms: fieldsOf(
      'head_size_vec',
      'num_total_seq_length_tile',
      'num_present_sequence_length_tile',
      'num_head_size_tile',
      'batch_heads',
      ...(two ? ['new_sequence_length', 'num_heads'] : []),
    ),
    uniformBinding: 2 + extras.length,
    globals: two ? [LOWEST] : [],
    body: [
      'let row = workgroup.x / uniforms.num_head_size_tile;',
      'let d = (workgroup.x % uniforms.num_head_size_tile) * WORKGROUP + lane;',
      'let base = row * uniforms.num_present_sequence_length_tile;',
      'let tiles = uniforms.num_total_seq_length_tile;',
      'var sum = vec4<f32>();',
      ...(two ? mergedTiles(sinks) : ['let denominator = 1.0;']),
      'if (d < uniforms.head_size_vec) {',
      '  for (var t = 0u; t < tiles; t++) {',
      `    sum += vec4<f32>(input[(base + t) * uniforms.head_size_vec + d])${two ? ' * metadata[base + t].y * exp(metadata[base + t].x - largest)' : ''};`,
      '  }',
      `  output[row * uniforms.head_size_vec + d] = vec4<${dtype}>(sum / denominator);`,
      '}',
    ],
  };
}

/** The largest score and the denominator over all tiles. */
function mergedTiles(sinks: boolean): string[] {
  return [
    'var largest = LOWEST;',
    'for (var t = 0u; t < tiles; t++) {',
    '  largest = max(largest, metadata[base + t].x);',
    '}',
    'var denominator = 0.0;',
    ...(sinks
      ? [
          'let sink = f32(head_sink[row % uniforms.num_heads]);',
          'largest = max(largest, sink);',
          'denominator += exp(sink - largest);',
        ]
      : []),
    'for (var t = 0u; t < tiles; t++) {',
    '  denominator += metadata[base + t].y * exp(metadata[base + t].x - largest);',
    '}',
  ];
}

/** Copies the past rows of K and V into the present buffers, and adds the new ones: `CopyKVCache`. */
export function copyProgram({ dtype }: ProgramOptions): StandInProgram {
  const vectors = `array<vec4<${dtype}>>`;
  return {
    label: 'CopyKVCache',
    dtype,
    constants: { WORKGROUP: 64 },
    storage: storageOf(
      ['key', vectors],
      ['value', vectors],
      ['past_key', vectors],
      ['past_value', vectors],
      ['present_key', vectors, 'read_write'],
      ['present_value', vectors, 'read_write'],
    ),
    uniforms: fieldsOf(
      'head_size_vec',
      'past_sequence_length',
      'past_capacity',
      'present_sequence_length',
      'kv_rows',
    ),
    uniformBinding: 6,
    globals: [],
    body: [
      'let place = workgroup.x * WORKGROUP + lane;',
      'let rows = uniforms.past_sequence_length + 1u;',
      'let d = place % uniforms.head_size_vec;',
      'let row = (place / uniforms.head_size_vec) % rows;',
      'let head = place / (uniforms.head_size_vec * rows);',
      'if (head < uniforms.kv_rows) {',
      '  let to = (head * uniforms.present_sequence_length + row) * uniforms.head_size_vec + d;',
      '  if (row < uniforms.past_sequence_length) {',
      '    let from_past = (head * uniforms.past_capacity + row) * uniforms.head_size_vec + d;',
      '    present_key[to] = past_key[from_past];',
      '    present_value[to] = past_value[from_past];',
      '  } else {',
      '    present_key[to] = key[head * uniforms.head_size_vec + d];',
      '    present_value[to] = value[head * uniforms.head_size_vec + d];',
      '  }',
      '}',
    ],
  };
}

/** The programs of an attention, in the order in which they are dispatched. */
export function attentionPrograms(options: ProgramOptions): StandInProgram[] {
  return options.form === 'two'
    ? [attendProgram(options), reduceProgram(options)]
    : [scoresProgram(options), valuesProgram(options), reduceProgram(options)];
}
