// Merges the splits' softmax (maximum, sum) for each head of a group. A subgroup takes one head at a time.
// Constants: GROUP, WG

var<workgroup> head_softmax: array<vec2f, GROUP>;

fn group_softmax(group0: u32, lid: u32) {
  for (var h = lid / sg_size; h < GROUP; h += WG / sg_size) {
    var own = vec2f(LOWEST, 0.0);
    for (var i = sg_lane; i < params.splits; i += sg_size) {
      own = merge_softmax(own, split_softmax[(group0 + h) * params.splits + i]);
    }
    let top = subgroupMax(own.x);
    let sum = subgroupAdd(own.y * exp(own.x - top));
    if (sg_lane == 0u) { head_softmax[h] = vec2f(top, sum); }
  }
  workgroupBarrier();
}
