// Combine of a dense step, by a workgroup of combine-learn.wgsl: no rows to stand for, no figures to keep (combine.wgsl has all).

const ADDERS = max(1u, min(WG, 256u) / VECS);          // splits added side by side
var<workgroup> sums: array<vec4f, ADDERS * VECS>;

fn combine_dense(head: u32, softmax: vec2f, lid: u32) {
  let base = head * params.splits;
  if (lid < ADDERS * VECS) {
    var sum = vec4f(0.0);
    for (var start = lid / VECS; start < params.splits; start += 4u * ADDERS) {
      // Four at a time: loads in flight.
      var loaded: array<vec4f, 4>;
      var tops: array<f32, 4>;
      for (var j = 0u; j < 4u; j++) { // unroll
        let at = base + min(start + j * ADDERS, params.splits - 1u);
        loaded[j] = part_out[at * PART + lid % VECS];
        tops[j] = partials[at].x;
      }
      for (var j = 0u; j < 4u; j++) { // unroll
        if (start + j * ADDERS < params.splits) { sum += exp(tops[j] - softmax.x) * loaded[j]; }
      }
    }
    sums[lid] = sum;
  }
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
