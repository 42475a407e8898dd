// The whole softmax of each head of a group, from its splits: a subgroup takes a head at a time.
// Constants: GROUP, WG

var<workgroup> head_softmax: array<vec2f, GROUP>;

fn group_softmax(group0: u32, lid: u32) {
  for (var h = lid / sg_size; h < GROUP; h += WG / sg_size) {
    var part = vec2f(LOWEST, 0.0);
    for (var i = sg_lane; i < params.splits; i += sg_size) {
      part = merge_softmax(part, split_softmax[(group0 + h) * params.splits + i]);
    }
    let top = subgroupMax(part.x);
    let sum = subgroupAdd(part.y * exp(part.x - top));
    if (sg_lane == 0u) { head_softmax[h] = vec2f(top, sum); }
  }
  workgroupBarrier();
}
