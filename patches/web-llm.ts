import type { WebLlmPatch } from '../src/adapters/web-llm/patch.ts';
import { webLlmMembers } from './web-llm-members.ts';

/**
 * The decode attention of @mlc-ai/web-llm: TVM's paged-KV kernel for one sequence without a sliding window. The model libraries
 * are compiled apart from the package, so that the kernel's version is the library's. Members: seen in 0.2.79 and 0.2.86.
 */
export const webLlm: WebLlmPatch = {
  runtime: 'web-llm',
  ...webLlmMembers,
  functions: { map: 'webgpu.get_fmap', shader: 'webgpu.get_shader', register: 'webgpu.update_prebuild' },
  attention: {
    kernel: 'batch_decode_paged_kv_kernel',
    bindings: {
      Q: { element: 'T', access: 'read' },
      k_rope_pos_offset: { element: 'i32', access: 'read' },
      length_info: { element: 'i32', access: 'read' },
      lse: { element: 'f32', access: 'read_write' },
      output: { element: 'T', access: 'read_write' },
      page_table_indptr: { element: 'i32', access: 'read' },
      page_table_values: { element: 'i32', access: 'read' },
      pages: { element: 'T', access: 'read' },
      q_rope_position: { element: 'i32', access: 'read' },
    },
    scalars: [
      'B',
      'batch_size',
      'k_rope_pos_offset_elem_offset',
      'length_info_elem_offset',
      'max_num_pages',
      'nnz_pages',
      'page_indptr_elem_offset',
      'page_values_elem_offset',
      'pages_elem_offset',
      'q_rope_position_elem_offset',
      'rope_scale',
      'rope_theta',
      'rotary_mode',
      'sm_scale',
      'attn_score_scaling_factor',
      'packGridDimX',
    ],
    forbidden: [
      { pattern: /\btanh\b/, reason: 'its scores have a soft cap' },
      { pattern: /sink/i, reason: 'it has attention sinks' },
      { pattern: /sliding/i, reason: 'it attends in a sliding window' },
    ],
  },
  append: 'tir_kv_cache_transpose_append_kernel',
};
