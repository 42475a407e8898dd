import type { RuntimePatch } from '../src/adapters/transformers/patch.ts';

/** Text that changes the meaning of the scores without showing in what a program binds. */
const SOFT_CAP = { pattern: /\btanh\b|soft_?cap/i, reason: 'the scores of the layer have a soft cap' };
/** Where a window can be chosen, it is a uniform: then the text has the word, and the value counts. */
const FIXED_WINDOW = {
  pattern: /^(?![\s\S]*\blocal_window_size\s*:\s*u32)[\s\S]*window_size/i,
  reason: 'the layer attends in a sliding window that its program has fixed',
};

/** What the program of the scores is told, in every build that is known. */
const SCORE_UNIFORMS = {
  head_size_vec: 'u32',
  total_sequence_length: 'u32',
  alpha: 'f32',
  present_sequence_length: 'u32',
  n_reps: 'u32',
  num_present_sequence_length_tile: 'u32',
  num_heads: 'u32',
  batch_size: 'u32',
} as const;

const READ = 'read' as const;
const WRITTEN = 'read_write' as const;
const VECTORS = 'array<vec4<T>>';

/**
 * What the WebGPU programs of decode attention look like in onnxruntime-web's native WebGPU execution provider: `GroupQueryAttention` in
 * flash-decode form. A program is taken over only if its label, its bindings (names, types, access) and its uniforms (names and types) are
 * these, and if it then computes what ours do.
 *
 * Two programs (`attend`, `reduce`) were seen in 1.30.0 and 1.31.0-dev.20260914, which transformers.js 4.3 brings; three (`scores`,
 * `values`, `reduce`) in 1.25.0-dev.20260327 to 1.26.0-dev.20260416, which transformers.js 4.0 to 4.2 bring. `local_window_size` is in
 * onnxruntime's source since September 2026 and in no release yet.
 */
export const onnxruntimeWeb: RuntimePatch = {
  runtime: 'onnxruntime-web',
  programs: [
    {
      label: 'FlashAttentionDecodeQKV',
      role: 'attend',
      bindings: {
        q: { type: VECTORS, access: READ },
        present_key: { type: VECTORS, access: READ },
        present_value: { type: VECTORS, access: READ },
        seqlens_k: { type: 'array<i32>', access: READ, optional: true },
        out_split_vx: { type: VECTORS, access: WRITTEN },
        metadata: { type: 'array<vec2<f32>>', access: WRITTEN },
      },
      uniforms: { ...SCORE_UNIFORMS, new_sequence_length: 'u32' },
      optionalUniforms: {
        local_window_size: 'u32',
        // The shape of a bias, whose buffer no program here has.
        attn_bias_dim0: 'u32',
        attn_bias_dim1: 'u32',
        attn_bias_dim3: 'u32',
      },
      forbidden: [SOFT_CAP, FIXED_WINDOW],
    },
    {
      label: 'FlashAttentionDecodeQKT',
      role: 'scores',
      bindings: {
        q: { type: VECTORS, access: READ },
        present_key: { type: VECTORS, access: READ },
        output: { type: 'array<T>', access: WRITTEN },
        metadata: { type: 'array<vec2<f32>>', access: WRITTEN },
      },
      uniforms: SCORE_UNIFORMS,
      optionalUniforms: { attn_bias_dim0: 'u32', attn_bias_dim1: 'u32' },
      forbidden: [SOFT_CAP, FIXED_WINDOW],
    },
    {
      label: 'FlashAttentionDecodeSplitVx',
      role: 'values',
      bindings: {
        metadata: { type: 'array<vec2<f32>>', access: READ },
        qk: { type: 'array<T>', access: READ },
        present_value: { type: VECTORS, access: READ },
        out_split_vx: { type: VECTORS, access: WRITTEN },
      },
      uniforms: {
        total_sequence_length: 'u32',
        head_size_vec: 'u32',
        present_sequence_length: 'u32',
        n_reps: 'u32',
        num_present_sequence_length_tile: 'u32',
        batch_heads: 'u32',
      },
      optionalUniforms: { num_heads: 'u32' },
      forbidden: [],
    },
    {
      label: 'FlashAttentionDecodeVxReduce',
      role: 'reduce',
      bindings: {
        input: { type: VECTORS, access: READ },
        metadata: { type: 'array<vec2<f32>>', access: READ, optional: true },
        seqlens_k: { type: 'array<i32>', access: READ, optional: true },
        head_sink: { type: 'array<T>', access: READ, optional: true },
        output: { type: VECTORS, access: WRITTEN },
      },
      uniforms: {
        head_size_vec: 'u32',
        num_total_seq_length_tile: 'u32',
        num_present_sequence_length_tile: 'u32',
        num_head_size_tile: 'u32',
        batch_heads: 'u32',
      },
      optionalUniforms: { new_sequence_length: 'u32', num_heads: 'u32' },
      forbidden: [],
    },
    {
      label: 'CopyKVCache',
      role: 'copy',
      bindings: {
        key: { type: VECTORS, access: READ },
        value: { type: VECTORS, access: READ },
        seqlen_k: { type: 'array<i32>', access: READ, optional: true },
        past_key: { type: VECTORS, access: READ },
        past_value: { type: VECTORS, access: READ },
        present_key: { type: VECTORS, access: WRITTEN },
        present_value: { type: VECTORS, access: WRITTEN },
      },
      uniforms: undefined,
      forbidden: [],
    },
  ],
  otherForms: {
    AttentionProbs:
      'the runtime computes the attention with AttentionProbs, as it does for a sliding window that the text has outgrown, and up to version 1.26 wherever the device has no subgroups',
  },
  knownExtras: {
    attention_bias:
      'the layer adds a bias to its scores, as MultiHeadAttention does with a causal mask; an export with GroupQueryAttention has none',
    head_sink: 'the layer has attention sinks in a form that is not known',
    seqlens_q: 'the sequences of the batch have numbers of new tokens of their own',
    total_sequence_length_input: 'the runtime reads the length from a buffer, as it does for graph capture',
  },
  knownTypes: {
    'present_key: array<u32>': 'the KV cache is quantised',
    'present_value: array<u32>': 'the KV cache is quantised',
  },
  tested: {
    'FlashAttentionDecodeQKV: metadata out_split_vx present_key present_value q seqlens_k; alpha attn_bias_dim0 attn_bias_dim1 attn_bias_dim3 batch_size head_size_vec n_reps new_sequence_length num_heads num_present_sequence_length_tile present_sequence_length total_sequence_length':
      ['1.30.0', '1.31.0-dev.20260914'],
    'FlashAttentionDecodeQKT: metadata output present_key q; alpha attn_bias_dim0 attn_bias_dim1 batch_size head_size_vec n_reps num_heads num_present_sequence_length_tile present_sequence_length total_sequence_length':
      ['1.25.0-dev.20260327', '1.26.0-dev.20260410', '1.26.0-dev.20260416'],
  },
};
