// What the kernels and the host have in common, written down once: from here follow the declarations in WGSL, the layouts of bind groups,
// the bytes of the parameters and those of a head's state.

/** How a kernel uses a storage buffer. */
export type Access = 'read' | 'write';

/** Storage buffers by name: their WGSL type, where no kernel sees it differently, and their shape. */
export const BUFFERS = {
  lengths: ['array<i32>', '[batch], less params.length_bias'],
  q: ['array<Word>', '[batch, QUERY_HEADS, HEAD_SIZE]'],
  keys: ['array<Word>', 'rows where k_row says'],
  values: ['array<Word>', 'rows where v_row says'],
  scores: ['array<f32>', '[batch, QUERY_HEADS, score_stride]'],
  split_softmax: ['array<vec2f>', '[batch, QUERY_HEADS, splits] (reference, sum)'],
  split_output: [
    'array<vec4f>',
    '[batch, QUERY_HEADS, splits, SPLIT_VECS], corrections [batch, QUERY_HEADS, SPLIT_VECS]',
  ],
  layer_state: ['array<vec4u>', 'HeadState [batch, QUERY_HEADS], moments [batch, KV_HEADS, MOMENTS]'],
  groups_state: ['array<vec4u>', '[batch, KV_HEADS] (union_lo, union_hi, union_last, 0)'],
  window: ['array<vec2f>', '[batch, QUERY_HEADS, params.window] (log x, log theta)'],
  output: ['array<Word>', '[batch, QUERY_HEADS, HEAD_SIZE]'],
  lse: ['array<f32>', '[batch, QUERY_HEADS]'],
  page_table: ['array<i32>', 'pages of a sequence, from params.capacity on'],
} as const;
export type BufferName = keyof typeof BUFFERS;

/** A buffer as one kernel uses it. */
export interface BufferUse {
  readonly name: BufferName;
  readonly access: Access;
  readonly type: string;
}

/** A buffer that a kernel reads; `type` if it sees it differently from {@link BUFFERS}. */
export function reads(name: BufferName, type: string = BUFFERS[name][0]): BufferUse {
  return { name, access: 'read', type };
}

/** A buffer that a kernel writes, and may read. */
export function writes(name: BufferName, type: string = BUFFERS[name][0]): BufferUse {
  return { name, access: 'write', type };
}

/** A field of four bytes. */
type Field = readonly [name: string, type: 'u32' | 'f32', meaning: string];

/** The parameters of a dispatch, the same for all layers of one shape: `Params` in WGSL. */
export const PARAMS = [
  ['length_bias', 'u32', 'keys of a sequence: lengths[batch] + length_bias'],
  ['capacity', 'u32', 'rows between two KV heads in K and V; of pages, where the table begins'],
  ['score_stride', 'u32', 'scores between two query heads'],
  ['splits', 'u32', 'workgroups that share the keys of one KV head'],
  ['chunk', 'u32', 'keys of one split'],
  ['step', 'u32', 'decode step, 1 for the first token after the prompt'],
  ['window', 'u32', 'thresholds of a full learning window'],
  ['window_index', 'u32', 'place of this step in the window'],
  ['flags', 'u32', 'see FLAG_..'],
  ['scale', 'f32', 'factor of q k, usually 1 / sqrt(head size)'],
  ['target_value', 'f32', 'tau of a quantile, epsilon of a mass'],
  ['log_alpha', 'f32', 'level of a threshold that is given'],
  ['beta', 'f32', 'its exponent, or the prior mean of one that is learned'],
  ['beta_variance', 'f32', 'of the prior; 0: the exponent is beta; negative: it is free'],
  ['batch', 'u32', 'sequences'],
  ['pad', 'u32', ''],
] as const satisfies readonly Field[];
export type ParamName = (typeof PARAMS)[number][0];

export const PARAMS_BYTES = 4 * PARAMS.length;

/** Bits of `params.flags`, in order. */
const FLAGS = [
  ['renormalise', 'the output is divided by the mass that was kept'],
  ['share', 'a row that one head of a group keeps serves all its heads'],
  ['newest', 'the newest row is always kept'],
  ['largest', 'the rows with the largest score are always kept'],
  ['length_axis', 'thresholds are functions of the length, not of the step'],
  ['mass', 'the target is a mass, not a quantile'],
  ['analytic', 'the threshold is given (log_alpha, beta); nothing is learned'],
  ['guard', 'heads that lose too much keep every row'],
  ['dense', 'this step keeps every row'],
  ['record', 'this step records a threshold in the window'],
  ['fit', 'the window is full with it: the power law is fitted'],
  ['correct', 'the mean V row stands for the rows that are not read'],
  ['linear', 'and so does a share of Cov(v, k) q'],
] as const;
export type FlagName = (typeof FLAGS)[number][0];

/** The bits of `params.flags` by name. */
export const FLAG = Object.fromEntries(FLAGS.map(([name], i) => [name, 2 ** i])) as Record<FlagName, number>;

/** What a head has learned and what it did: `HeadState` in WGSL, read back by `report()` alone. Four fields make a vec4u. */
export const HEAD_STATE = [
  ['log_alpha', 'f32', 'the fit: log threshold = log_alpha + beta log x'],
  ['beta', 'f32', ''],
  ['r2', 'f32', 'how good it is, on the scale of logarithms'],
  ['status', 'u32', 'LEARNING, FITTED, GUARDED or UNFIT'],
  ['log_eta', 'f32', 'threshold of the last sifted step'],
  ['kept_last', 'u32', 'rows that the head kept at the last sifted step'],
  ['length_last', 'u32', 'of so many'],
  ['mass_last', 'f32', 'probability of the rows that took part'],
  ['kept_lo', 'u32', 'rows kept over all sifted steps, 64 bits'],
  ['kept_hi', 'u32', ''],
  ['rows_lo', 'u32', 'of so many, 64 bits'],
  ['rows_hi', 'u32', ''],
  ['mass_sum', 'f32', 'sum of mass_last'],
  ['ema', 'f32', 'its moving average since the fit'],
  ['steps', 'u32', 'sifted steps'],
  ['age', 'u32', 'sifted steps since the fit'],
] as const satisfies readonly Field[];
export type HeadField = (typeof HEAD_STATE)[number][0];

export const HEAD_BYTES = 4 * HEAD_STATE.length;
/** Bytes of a group's entry in `groups_state`. */
export const GROUP_BYTES = 16;

/** Values of `status`, in order. */
export const HEAD_STATUS = ['learning', 'fitted', 'guarded', 'unfit'] as const;

/** The byte offset of a field of {@link HEAD_STATE}. */
export function headOffset(field: HeadField): number {
  return 4 * HEAD_STATE.findIndex(([name]) => name === field);
}

function struct(name: string, fields: readonly Field[]): string {
  const members = fields.map(
    ([field, type, meaning]) => `  ${field}: ${type},${meaning && `  // ${meaning}`}`,
  );
  return `struct ${name} {\n${members.join('\n')}\n}`;
}

/** WGSL of the parameters, their flags and the state of a head. */
export const SHARED_DECLARATIONS = [
  struct('Params', PARAMS),
  ...FLAGS.map(([name, meaning], i) => `const FLAG_${name.toUpperCase()} = ${2 ** i}u;  // ${meaning}`),
  struct('HeadState', HEAD_STATE),
  `const HEAD_VECS = ${HEAD_STATE.length / 4}u;`,
  ...HEAD_STATUS.map((status, i) => `const ${status.toUpperCase()} = ${i}u;`),
].join('\n');

/** WGSL of a kernel's bindings: the parameters first, the buffers in order. */
export function bindingDeclarations(buffers: readonly BufferUse[]): string {
  return [
    '@group(0) @binding(0) var<uniform> params: Params;',
    ...buffers.map(
      ({ name, access, type }, i) =>
        `@group(0) @binding(${i + 1}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: ${type};  // ${BUFFERS[name][1]}`,
    ),
  ].join('\n');
}

/** The layout of a kernel's bind group, in the order of {@link bindingDeclarations}. */
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
