import type { KernelInfo } from '../../adapters/web-llm/engine.ts';
import type { AttentionShape } from '../../kernel/shape.ts';

/** Threads of a workgroup, at most. */
const THREADS = 256;

/**
 * A decode attention with the interface of a model library's (names, bindings, scalars, grid, base-2 softmax, one workgroup for every
 * KV head), written for tests and benchmarks. Keys pass through workgroup memory in tiles; every thread holds four elements of one
 * query head; the threads of a head's row add up their products in workgroup memory; slices of the tile are merged at the end.
 */
export function stockPagedKernel(
  shape: AttentionShape,
  pageSize: number,
): { info: KernelInfo; code: string } {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const group = queryHeads / kvHeads;
  const bdx = headSize / 4;
  const bdy = group;
  const bdz = Math.max(1, Math.floor(THREADS / (bdx * bdy)));
  const perThread = group === 1 ? 2 : 1;
  const keys = bdy * perThread; // of one slice
  const tile = bdz * keys;
  const pageStride = 2 * kvHeads * pageSize * headSize;
  const headStride = pageSize * headSize;
  const name = 'batch_decode_paged_kv_kernel';
  const t = dtype;
  const code = `// Function: ${name}
${dtype === 'f16' ? 'enable f16;' : ''}
@group(0) @binding(0) var<storage, read> Q : array<vec4<${t}>>;
@group(0) @binding(1) var<storage, read> k_rope_pos_offset : array<i32>;
@group(0) @binding(2) var<storage, read> length_info : array<i32>;
@group(0) @binding(3) var<storage, read_write> lse : array<f32>;
@group(0) @binding(4) var<storage, read_write> output : array<vec4<${t}>>;
@group(0) @binding(5) var<storage, read> page_table_indptr : array<i32>;
@group(0) @binding(6) var<storage, read> page_table_values : array<i32>;
@group(0) @binding(7) var<storage, read> pages : array<vec4<${t}>>;
@group(0) @binding(8) var<storage, read> q_rope_position : array<i32>;

struct PODArgs {
  B: i32,
  k_rope_pos_offset_elem_offset: i32,
  length_info_elem_offset: i32,
  max_num_pages: i32,
  nnz_pages: i32,
  page_indptr_elem_offset: i32,
  page_values_elem_offset: i32,
  pages_elem_offset: i32,
  q_rope_position_elem_offset: i32,
  rope_scale: f32,
  rope_theta: f32,
  rotary_mode: i32,
  sm_scale: f32,
  packGridDimX: u32
}
@group(0) @binding(9) var<uniform> podArgs : PODArgs;

var<workgroup> k_tile : array<vec4<${t}>, ${tile * bdx}>;
var<workgroup> v_tile : array<vec4<${t}>, ${tile * bdx}>;
var<workgroup> products : array<f32, ${bdz * bdy * keys * bdx}>;
var<workgroup> sums : array<f32, ${bdz * bdy * keys}>;
var<workgroup> slice_md : array<vec2<f32>, ${bdz * bdy}>;
var<workgroup> slice_o : array<vec4<f32>, ${bdz * bdy * bdx}>;

@compute @workgroup_size(${bdx}, ${bdy}, ${bdz})
fn ${name}(
  @builtin(workgroup_id) blockIdx : vec3<u32>,
  @builtin(num_workgroups) gridDim : vec3<u32>,
  @builtin(local_invocation_id) threadIdx : vec3<u32>
) {
  if (blockIdx.z * gridDim.x + blockIdx.x > podArgs.packGridDimX) { return; }
  let bx : i32 = i32(blockIdx.z * gridDim.x + blockIdx.x);
  let by : i32 = i32(blockIdx.y);
  let tx : i32 = i32(threadIdx.x);
  let ty : i32 = i32(threadIdx.y);
  let tz : i32 = i32(threadIdx.z);
  let table_begin : i32 = page_table_indptr[(bx + podArgs.page_indptr_elem_offset)];
  let table_end : i32 = page_table_indptr[((bx + podArgs.page_indptr_elem_offset) + 1i)];
  var kv_length : i32 = 0i;
  if (table_begin != table_end) {
    kv_length = (((table_end * ${pageSize}i) + length_info[(bx + podArgs.length_info_elem_offset)]) - (table_begin * ${pageSize}i)) - ${pageSize}i;
  }
  // Some keys are rotated in the attention (rotary_mode 1); this kernel is for those that are rotated before.
  let q = vec4<f32>(Q[((((bx * ${queryHeads * headSize}i) + (by * ${group * headSize}i)) + (ty * ${headSize}i)) + (tx * 4i)) / 4i]);
  let scale = podArgs.sm_scale * 1.4426950408889634f;
  var m = -50000.0f;
  var d = 1.0f;
  var o = vec4<f32>();
  let slot = (tz * ${bdy}i) + ty;
  for (var begin : i32 = 0; begin < kv_length; begin += ${tile}i) {
    workgroupBarrier();
    for (var j : i32 = 0; j < ${perThread}i; j++) {
      let row = (slot * ${perThread}i) + j;
      let key = begin + row;
      var k_row = vec4<${t}>();
      var v_row = vec4<${t}>();
      if (key < kv_length) {
        let page_no : i32 = page_table_values[((key / ${pageSize}i) + table_begin) + podArgs.page_values_elem_offset];
        let at : i32 = ((((page_no * ${pageStride}i) + (by * ${headStride}i)) + ((key % ${pageSize}i) * ${headSize}i)) + (tx * 4i)) + podArgs.pages_elem_offset;
        k_row = pages[at / 4i];
        v_row = pages[(at + ${pageStride / 2}i) / 4i];
      }
      k_tile[(row * ${bdx}i) + tx] = k_row;
      v_tile[(row * ${bdx}i) + tx] = v_row;
    }
    workgroupBarrier();
    for (var j : i32 = 0; j < ${keys}i; j++) {
      let row = (tz * ${keys}i) + j;
      products[(((slot * ${keys}i) + j) * ${bdx}i) + tx] = dot(q, vec4<f32>(k_tile[(row * ${bdx}i) + tx]));
    }
    workgroupBarrier();
    for (var j : i32 = tx; j < ${keys}i; j += ${bdx}i) {
      var sum = 0.0f;
      for (var i : i32 = 0; i < ${bdx}i; i++) { sum += products[(((slot * ${keys}i) + j) * ${bdx}i) + i]; }
      if (begin + (tz * ${keys}i) + j >= kv_length) { sum = -50000.0f / scale; }
      sums[(slot * ${keys}i) + j] = sum * scale;
    }
    workgroupBarrier();
    let m_before = m;
    for (var j : i32 = 0; j < ${keys}i; j++) { m = max(m, sums[(slot * ${keys}i) + j]); }
    let shrink = exp2(m_before - m);
    d *= shrink;
    o *= shrink;
    for (var j : i32 = 0; j < ${keys}i; j++) {
      let p = exp2(sums[(slot * ${keys}i) + j] - m);
      d += p;
      o = fma(vec4<f32>(v_tile[(((tz * ${keys}i) + j) * ${bdx}i) + tx]), vec4<f32>(p), o);
    }
  }
  slice_o[(slot * ${bdx}i) + tx] = o;
  if (tx == 0i) { slice_md[slot] = vec2<f32>(m, d); }
  workgroupBarrier();
  if (tz == 0i) {
    m = -50000.0f;
    d = 1.0f;
    o = vec4<f32>();
    for (var z : i32 = 0; z < ${bdz}i; z++) {
      let other = slice_md[(z * ${bdy}i) + ty];
      let m_before = m;
      m = max(m, other.x);
      d = d * exp2(m_before - m) + other.y * exp2(other.x - m);
      o = o * exp2(m_before - m) + slice_o[(((z * ${bdy}i) + ty) * ${bdx}i) + tx] * exp2(other.x - m);
    }
    output[((((bx * ${queryHeads * headSize}i) + (by * ${group * headSize}i)) + (ty * ${headSize}i)) + (tx * 4i)) / 4i] = vec4<${t}>(o / d);
    if (tx == 0i) { lse[((bx * ${queryHeads}i) + (by * ${group}i)) + ty] = m + log2(d); }
  }
}
`;
  const tags = ['blockIdx.x', 'blockIdx.y', 'threadIdx.x', 'threadIdx.y', 'threadIdx.z'];
  return {
    code,
    info: {
      name,
      arg_types: [
        ...new Array<string>(9).fill('handle'),
        ...new Array<string>(9).fill('int32'),
        ...['float32', 'float32', 'int32', 'float32'],
      ],
      launch_param_tags: [...tags, 'paramWriteAccess:[0,0,0,1,1,0,0,0,0]'],
    },
  };
}

/** The launch's last arguments: the grid and the workgroup, as the tags name them. */
export function stockLaunchDimensions(shape: AttentionShape): [number, number, number, number, number] {
  const { queryHeads, kvHeads, headSize } = shape;
  const group = queryHeads / kvHeads;
  const bdx = headSize / 4;
  return [1, kvHeads, bdx, group, Math.max(1, Math.floor(THREADS / (bdx * group)))];
}

/** Appends the K and V rows of new tokens to their pages, with the name that web-llm's libraries give this kernel. */
export function appendKernel(shape: AttentionShape, pageSize: number): { info: KernelInfo; code: string } {
  const { kvHeads, headSize } = shape;
  const name = 'tir_kv_cache_transpose_append_kernel';
  const row = kvHeads * headSize;
  const code = `
@group(0) @binding(0) var<storage, read> k_data : array<f32>;
@group(0) @binding(1) var<storage, read_write> pages : array<f32>;
@group(0) @binding(2) var<storage, read> position_map : array<i32>;
@group(0) @binding(3) var<storage, read> v_data : array<f32>;
struct PODArgs { ntoken: i32, position_map_elem_offset: i32, packGridDimX: u32 }
@group(0) @binding(4) var<uniform> podArgs : PODArgs;

@compute @workgroup_size(64, 1, 1)
fn ${name}(@builtin(global_invocation_id) id : vec3<u32>) {
  let i : i32 = i32(id.x);
  if (i >= podArgs.ntoken * ${row}i) { return; }
  let position : i32 = position_map[(i / ${row}i) + podArgs.position_map_elem_offset];
  let head : i32 = (i / ${headSize}i) % ${kvHeads}i;
  let to : i32 = ((((position / ${pageSize}i) * ${2 * kvHeads * pageSize}i) + (head * ${pageSize}i) + (position % ${pageSize}i)) * ${headSize}i) + (i % ${headSize}i);
  pages[to] = k_data[i];
  pages[to + ${kvHeads * pageSize * headSize}i] = v_data[i];
}
`;
  return {
    code,
    info: {
      name,
      arg_types: ['handle', 'handle', 'handle', 'handle', 'int32', 'int32'],
      launch_param_tags: ['blockIdx.x', 'threadIdx.x', 'paramWriteAccess:[0,1,0,0]'],
    },
  };
}
