// Merges the softmax (maximum, sum) of all splits of a head. Every subgroup does this for itself, which needs no barrier.

fn splits_softmax(head: u32, lid: u32) -> vec2f {
  let base = head * params.splits;
  var own = vec2f(LOWEST, 0.0);
  for (var start = sg_lane; start < params.splits; start += 4u * sg_size) {
    // Four splits at a time, so that their loads are in flight together.
    var four: array<vec2f, 4>;
    for (var j = 0u; j < 4u; j++) { // unroll
      four[j] = split_softmax[base + min(start + j * sg_size, params.splits - 1u)];
    }
    for (var j = 0u; j < 4u; j++) { // unroll
      if (start + j * sg_size < params.splits) { own = merge_softmax(own, four[j]); }
    }
  }
  return subgroup_softmax(own);
}
