import type { RuntimePatch } from '../src/adapters/transformers/patch.ts';

/**
 * What the WebGPU programs of decode attention look like in onnxruntime-web's native WebGPU execution provider
 * (GroupQueryAttention, flash decode). Seen in 1.31.0-dev.20260914 (brought by @huggingface/transformers 4.3.1).
 *
 * A program is taken over only if its label, its bindings (names, types, access; all of them and no others) and its uniforms
 * are these. `T` is the model's element type, f32 or f16.
 */
export const onnxruntimeWeb: RuntimePatch = {
  runtime: 'onnxruntime-web',
  testedVersions: ['1.31.0-dev.20260914-8d85527a0'],
  programs: {
    attend: {
      label: 'FlashAttentionDecodeQKV',
      bindings: {
        q: { type: 'array<vec4<T>>', access: 'read' },
        present_key: { type: 'array<vec4<T>>', access: 'read' },
        present_value: { type: 'array<vec4<T>>', access: 'read' },
        seqlens_k: { type: 'array<i32>', access: 'read' },
        out_split_vx: { type: 'array<vec4<T>>', access: 'read_write' },
        metadata: { type: 'array<vec2<f32>>', access: 'read_write' },
      },
      uniforms: {
        head_size_vec: 'u32',
        total_sequence_length: 'u32',
        alpha: 'f32',
        present_sequence_length: 'u32',
        n_reps: 'u32',
        num_heads: 'u32',
        batch_size: 'u32',
        new_sequence_length: 'u32',
      },
      // Things that change the meaning of the scores without showing in the bindings.
      forbidden: [
        { pattern: /\btanh\b|softcap/i, reason: 'the scores of the layer have a soft cap' },
        { pattern: /local_window/i, reason: 'the layer attends in a sliding window' },
        { pattern: /head_sink/i, reason: 'the layer has attention sinks' },
      ],
    },
    reduce: {
      label: 'FlashAttentionDecodeVxReduce',
      bindings: {
        input: { type: 'array<vec4<T>>', access: 'read' },
        metadata: { type: 'array<vec2<f32>>', access: 'read' },
        seqlens_k: { type: 'array<i32>', access: 'read' },
        output: { type: 'array<vec4<T>>', access: 'read_write' },
      },
      uniforms: { head_size_vec: 'u32', new_sequence_length: 'u32', num_heads: 'u32' },
      forbidden: [{ pattern: /head_sink/i, reason: 'the layer has attention sinks' }],
    },
    // Names the layer: past_key is the tensor that the caller passed in for it.
    copy: {
      label: 'CopyKVCache',
      bindings: {
        key: { type: 'array<vec4<T>>', access: 'read' },
        value: { type: 'array<vec4<T>>', access: 'read' },
        seqlen_k: { type: 'array<i32>', access: 'read' },
        past_key: { type: 'array<vec4<T>>', access: 'read' },
        past_value: { type: 'array<vec4<T>>', access: 'read' },
        present_key: { type: 'array<vec4<T>>', access: 'read_write' },
        present_value: { type: 'array<vec4<T>>', access: 'read_write' },
      },
      uniforms: {},
      forbidden: [],
    },
  },
  // What a binding that is not in the list means to a user.
  knownExtras: {
    attention_bias: 'the layer adds an attention bias',
    head_sink: 'the layer has attention sinks',
  },
};
