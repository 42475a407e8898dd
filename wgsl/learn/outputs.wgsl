// Combines the output of a head after a dense step, by a workgroup of learn.wgsl. It is simpler than combine.wgsl, since a dense step has
// no corrections and no figures.
// Constants: ADDERS, VECS, WORDS, WG, V4, LOADS, SPLIT_VECS, QUERY_HEADS

var<workgroup> sums: array<vec4f, ADDERS * VECS>;

fn combine_dense(head: u32, softmax: vec2f, lid: u32) {
  if (lid < ADDERS * VECS) { sums[lid] = add_splits(head * params.splits, softmax.x, lid); }
  if (lid == 0u) { store_lse(head, softmax); }
  workgroupBarrier();
  let factor = output_factor(head % QUERY_HEADS, softmax.y, softmax);
  for (var w = lid; w < WORDS; w += WG) {
    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    for (var s = 0u; s < ADDERS; s++) {
      lo += sums[s * VECS + w * V4];
      if (V4 == 2u) { hi += sums[s * VECS + w * V4 + 1u]; }
    }
    output[head * WORDS + w] = pack_word(lo * factor, hi * factor);
  }
}

// Adds up a vec4f of a head's output over every ADDERS-th split. A split's output is relative to its own maximum, the sum to `top`.
fn add_splits(base: u32, top: f32, lid: u32) -> vec4f {
  var sum = vec4f(0.0);
  for (var start = lid / VECS; start < params.splits; start += LOADS * ADDERS) {
    var loaded: array<vec4f, LOADS>;
    var tops: array<f32, LOADS>;
    for (var j = 0u; j < LOADS; j++) { // unroll
      let split = base + min(start + j * ADDERS, params.splits - 1u);
      loaded[j] = split_output[split * SPLIT_VECS + lid % VECS];
      tops[j] = split_softmax[split].x;
    }
    for (var j = 0u; j < LOADS; j++) { // unroll
      if (start + j * ADDERS < params.splits) { sum += exp(tops[j] - top) * loaded[j]; }
    }
  }
  return sum;
}
