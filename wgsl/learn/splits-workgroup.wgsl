// Merges the softmax (maximum, sum) of all splits of a head, on devices without subgroups.
// Constants: WG

fn splits_softmax(head: u32, lid: u32) -> vec2f {
  var own = vec2f(LOWEST, 0.0);
  for (var i = lid; i < params.splits; i += WG) { own = merge_softmax(own, split_softmax[head * params.splits + i]); }
  return workgroup_softmax(own, lid);
}
