// The whole softmax of a head, from its splits: every subgroup adds them up for itself, no barrier.

fn splits_softmax(head: u32, lid: u32) -> vec2f {
  let base = head * params.splits;
  var part = vec2f(LOWEST, 0.0);
  for (var start = sg_lane; start < params.splits; start += 4u * sg_size) {
    // Four at a time: loads in flight.
    var four: array<vec2f, 4>;
    for (var j = 0u; j < 4u; j++) { // unroll
      four[j] = split_softmax[base + min(start + j * sg_size, params.splits - 1u)];
    }
    for (var j = 0u; j < 4u; j++) { // unroll
      if (start + j * sg_size < params.splits) { part = merge_softmax(part, four[j]); }
    }
  }
  return subgroup_softmax(part);
}
