// The whole softmax of a head, from its splits.
// Constants: WG

fn splits_softmax(head: u32, lid: u32) -> vec2f {
  var part = vec2f(LOWEST, 0.0);
  for (var i = lid; i < params.splits; i += WG) { part = merge_softmax(part, split_softmax[head * params.splits + i]); }
  return workgroup_softmax(part, lid);
}
