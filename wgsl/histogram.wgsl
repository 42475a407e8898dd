// Learning, first part: how the scores of each head are spread over bins.
// Grid: (parts of the keys, QUERY_HEADS, batch).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;                  // [batch]
@group(0) @binding(2) var<storage, read> scores: array<vec4f>;                 // [batch, QUERY_HEADS, score_stride / 4]
@group(0) @binding(3) var<storage, read> partials: array<vec2f>;               // [batch, QUERY_HEADS, splits]
@group(0) @binding(4) var<storage, read_write> bins: array<atomic<u32>>;       // [batch, QUERY_HEADS, SCORE_BINS], zero before

var<workgroup> local_bins: array<atomic<u32>, SCORE_BINS>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) parts: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  setup_reduce();
  let head = wid.z * QUERY_HEADS + wid.y;
  let length = u32(lengths[wid.z]) + params.length_bias;
  for (var i = lid; i < SCORE_BINS; i += WG) { atomicStore(&local_bins[i], 0u); }
  var part = vec2f(LOWEST, 0.0);
  for (var i = lid; i < params.splits; i += WG) { part = merge_softmax(part, partials[head * params.splits + i]); }
  let softmax = workgroup_softmax(part, lid);            // a barrier for the bins, too
  let by_mass = has(params.flags, FLAG_MASS);
  let row = head * (params.score_stride / 4u);
  let last = (length - 1u) / 4u;
  let stride = WG * parts.x;
  for (var start = wid.x * WG + lid; start <= last; start += 4u * stride) {
    var four: array<vec4f, 4>;
    for (var j = 0u; j < 4u; j++) { // unroll
      four[j] = scores[row + min(start + j * stride, last)];
    }
    for (var j = 0u; j < 4u; j++) { // unroll
      for (var e = 0u; e < 4u; e++) { // unroll
        if ((start + j * stride) * 4u + e < length) {
          atomicAdd(&local_bins[score_bin(four[j][e], softmax.x)], score_unit(four[j][e], softmax, by_mass));
        }
      }
    }
  }
  workgroupBarrier();
  for (var i = lid; i < SCORE_BINS; i += WG) {
    let n = atomicLoad(&local_bins[i]);
    if (n > 0u) { atomicAdd(&bins[head * SCORE_BINS + i], n); }
  }
}
