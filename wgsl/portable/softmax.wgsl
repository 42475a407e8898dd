// Merges the splits' softmax (maximum, sum) for each head of a group. PER_HEAD invocations take a head, and one of them merges what they
// have.
// Constants: WG, GROUP

const PER_HEAD = WG / GROUP;
var<workgroup> head_softmax: array<vec2f, GROUP>;

fn group_softmax(group0: u32, lid: u32) {
  let head = lid / PER_HEAD;
  var own = vec2f(LOWEST, 0.0);
  if (head < GROUP) {
    for (var i = lid % PER_HEAD; i < params.splits; i += PER_HEAD) {
      own = merge_softmax(own, split_softmax[(group0 + head) * params.splits + i]);
    }
  }
  reduce_f[lid] = vec4f(own, 0.0, 0.0);
  workgroupBarrier();
  if (lid < GROUP) {
    var softmax = reduce_f[lid * PER_HEAD].xy;
    for (var i = 1u; i < PER_HEAD; i++) { softmax = merge_softmax(softmax, reduce_f[lid * PER_HEAD + i].xy); }
    head_softmax[lid] = softmax;
  }
  workgroupBarrier();
}
