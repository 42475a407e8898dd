// What the kernels and the host share is written down here alone. The declarations in WGSL, the layouts of
// bind groups, the bytes of the parameters and the bytes of a head's state all follow from it.
// docs/glossary.md explains the words.

/** How a kernel uses a storage buffer. */
export type Access = 'read' | 'write';

/** The storage buffers by name: their WGSL type, unless a kernel names another. The comments say their shape. */
export const BUFFERS = {
  lengths: 'array<i32>', // [batch]: keys of a sequence, less params.length_bias
  q: 'array<Word>', // [batch, QUERY_HEADS, HEAD_SIZE]
  keys: 'array<Word>', // rows lie where k_row says
  values: 'array<Word>', // rows lie where v_row says
  scores: 'array<f32>', // [batch, QUERY_HEADS, score_stride]
  // a copy of K with 2 bits an element; wgsl/shadow/layout.wgsl says how it lies
  shadow: 'array<u32>',
  // [batch, QUERY_HEADS, splits]: (maximum or estimate, sum of exponentials relative to it)
  split_softmax: 'array<vec2f>',
  // [batch, QUERY_HEADS, splits, SPLIT_VECS], then the corrections [batch, QUERY_HEADS, SPLIT_VECS]
  split_output: 'array<vec4f>',
  // HeadState [batch, QUERY_HEADS], then the moments [batch, KV_HEADS, MOMENTS], then the statistics of the shadow
  layer_state: 'array<vec4u>',
  // [batch, KV_HEADS]: V rows read (of all steps, low and high word, of the last step, 0)
  groups_state: 'array<vec4u>',
  window: 'array<vec2f>', // [batch, QUERY_HEADS, params.window]: (log x, log theta)
  output: 'array<Word>', // [batch, QUERY_HEADS, HEAD_SIZE]
  lse: 'array<f32>', // [batch, QUERY_HEADS]
  sinks: 'array<Word>', // [QUERY_HEADS]: scores that are not scaled
  // [batch, KV_HEADS, score_stride / 32]: a bit for each key, set if its V row is read; only of steps that are inspected
  read_bits: 'array<atomic<u32>>',
  page_table: 'array<i32>', // the pages of the sequence, from entry params.capacity on
} as const;
export type BufferName = keyof typeof BUFFERS;

/** A buffer as one kernel uses it. */
export interface BufferUse {
  readonly name: BufferName;
  readonly access: Access;
  readonly type: string;
}

/** A buffer that a kernel reads. `type` is for a kernel that sees another type than {@link BUFFERS} has. */
export function reads(name: BufferName, type: string = BUFFERS[name]): BufferUse {
  return { name, access: 'read', type };
}

/** A buffer that a kernel writes, and may also read. `type` as in {@link reads}. */
export function writes(name: BufferName, type: string = BUFFERS[name]): BufferUse {
  return { name, access: 'write', type };
}

/** A field of four bytes in a WGSL struct. */
type Field = readonly [name: string, type: 'u32' | 'f32'];

/** The parameters of a step, `Params` in WGSL. All layers of one shape share them. */
export const PARAMS = [
  ['length_bias', 'u32'], // a sequence has lengths[batch] + length_bias keys
  ['capacity', 'u32'], // rows from one KV head to the next in K and V; with pages, where the page table begins
  ['score_stride', 'u32'], // scores from one query head to the next
  ['splits', 'u32'], // workgroups that share the keys of one KV head
  ['chunk', 'u32'], // keys of one split; the sift kernel does not use it
  ['step', 'u32'], // decode step, 1 for the first token after the prompt
  ['window', 'u32'], // thresholds of a full window
  ['window_index', 'u32'], // place of this step in the window
  ['flags', 'u32'], // bits FLAG_...
  ['scale', 'f32'], // factor of q . k, usually 1 / sqrt(head size)
  ['target_value', 'f32'], // tau if the target is a quantile, epsilon if it is a mass
  ['log_alpha', 'f32'], // level of a threshold that is given, not learned
  ['beta', 'f32'], // exponent that is given, or the prior mean of one that is learned
  ['beta_variance', 'f32'], // variance of that prior; 0: the exponent is beta; negative: it is free
  ['batch', 'u32'], // sequences
  ['first_key', 'u32'], // row of K and V where the keys begin: rows before it are outside a sliding window
  ['shadow_groups', 'u32'], // groups of 32 rows from one KV head to the next in the shadow
  ['encode_rows', 'u32'], // newest rows of each sequence that are encoded into the shadow
] as const satisfies readonly Field[];
export type ParamName = (typeof PARAMS)[number][0];

/** Bytes of a `Params`. */
export const PARAMS_BYTES = 4 * PARAMS.length;

/** Bits of `params.flags`, in order. */
const FLAGS = [
  'renormalise', // the output is divided by the kept mass
  'share', // a row that one head of a group keeps serves all its heads
  'newest', // every head keeps the newest row
  'largest', // every head keeps its rows of the largest score
  'length_axis', // thresholds are functions of the number of keys, not of the decode step
  'mass', // the target is a mass, not a quantile
  'analytic', // the threshold is given (log_alpha, beta); nothing is learned
  'guard', // a head that loses too much mass keeps every row until its next fit
  'dense', // this step reads every row
  'record', // this step records a threshold in the window
  'fit', // this step fills the window: the power law is fitted
  'correct', // the mean V row corrects for the dropped mass
  'linear', // and so does a share of Cov(v, k) q
  'statistics', // the statistics of the shadow are measured with the moments
] as const;
export type FlagName = (typeof FLAGS)[number];

/** The bits of `params.flags` by name. */
export const FLAG = Object.fromEntries(FLAGS.map((name, i) => [name, 2 ** i])) as Record<FlagName, number>;

/**
 * What a head has learned, and its figures: `HeadState` in WGSL. The host reads it only for `report()`.
 * Kernels load it by vec4u, of four fields each.
 */
export const HEAD_STATE = [
  ['log_alpha', 'f32'], // the fit: log threshold = log_alpha + beta log x
  ['beta', 'f32'],
  ['r2', 'f32'], // how well it fits: the coefficient of determination of log threshold
  ['status', 'u32'], // LEARNING, FITTED, GUARDED or UNFIT
  ['log_eta', 'f32'], // log of the threshold of the last sifted step
  ['kept_last', 'u32'], // rows that the head kept at that step
  ['length_last', 'u32'], // rows that there were
  ['mass_last', 'f32'], // kept mass of that step
  ['kept_lo', 'u32'], // rows kept in all sifted steps, 64 bits
  ['kept_hi', 'u32'],
  ['rows_lo', 'u32'], // rows that there were, 64 bits
  ['rows_hi', 'u32'],
  ['mass_sum', 'f32'], // sum of mass_last
  ['ema', 'f32'], // moving average of the kept mass since the fit
  ['steps', 'u32'], // sifted steps
  ['age', 'u32'], // sifted steps since the fit
] as const satisfies readonly Field[];
export type HeadField = (typeof HEAD_STATE)[number][0];

/** Bytes of a `HeadState`. */
export const HEAD_BYTES = 4 * HEAD_STATE.length;
/** Bytes of a group's entry in `groups_state`. */
export const GROUP_BYTES = 16;

/** The values of `status`, by number. */
export const HEAD_STATUS = ['learning', 'fitted', 'guarded', 'unfit'] as const;

/** The byte offset of a field of {@link HEAD_STATE}. */
export function headOffset(field: HeadField): number {
  return 4 * HEAD_STATE.findIndex(([name]) => name === field);
}

function struct(name: string, fields: readonly Field[]): string {
  const members = fields.map(([field, type]) => `  ${field}: ${type},`);
  return `struct ${name} {\n${members.join('\n')}\n}`;
}

/** WGSL that declares the parameters, the flags and the state of a head. */
export const SHARED_DECLARATIONS = [
  struct('Params', PARAMS),
  ...FLAGS.map((name, i) => `const FLAG_${name.toUpperCase()} = ${2 ** i}u;`),
  struct('HeadState', HEAD_STATE),
  `const HEAD_VECS = ${HEAD_STATE.length / 4}u;`,
  ...HEAD_STATUS.map((status, i) => `const ${status.toUpperCase()} = ${i}u;`),
].join('\n');

/** WGSL that declares a kernel's bindings: the parameters at binding 0, then the buffers in order. */
export function bindingDeclarations(buffers: readonly BufferUse[]): string {
  return [
    '@group(0) @binding(0) var<uniform> params: Params;',
    ...buffers.map(
      ({ name, access, type }, i) =>
        `@group(0) @binding(${i + 1}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: ${type};`,
    ),
  ].join('\n');
}

/** Entries of a kernel's bind group layout, in the order of {@link bindingDeclarations}. */
export function bindGroupEntries(buffers: readonly BufferUse[]): GPUBindGroupLayoutEntry[] {
  const visibility = GPUShaderStage.COMPUTE;
  return [
    {
      binding: 0,
      visibility,
      buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: PARAMS_BYTES },
    },
    ...buffers.map(
      ({ access }, i): GPUBindGroupLayoutEntry => ({
        binding: i + 1,
        visibility,
        buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
      }),
    ),
  ];
}
