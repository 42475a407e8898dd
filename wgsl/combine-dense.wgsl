// Combine of a dense step, by a workgroup of combine-learn.wgsl: no rows to stand for, no figures to keep (combine.wgsl has all).
var<workgroup> sums: array<vec4f, ADDERS * VECS>;

fn combine_dense(head: u32, softmax: vec2f, lid: u32) {
  if (lid < ADDERS * VECS) { sums[lid] = add_splits(head * params.splits, softmax.x, lid); }
  workgroupBarrier();
  let inverse = select(0.0, 1.0 / softmax.y, softmax.y > 0.0);
  for (var w = lid; w < WORDS; w += WG) {
    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    for (var s = 0u; s < ADDERS; s++) {
      lo += sums[s * VECS + w * V4];
      if (V4 == 2u) { hi += sums[s * VECS + w * V4 + 1u]; }
    }
    output[head * WORDS + w] = pack_word(lo * inverse, hi * inverse);
  }
}
