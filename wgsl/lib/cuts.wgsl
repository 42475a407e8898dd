// The cuts of exact steps: the least score whose row a head keeps, by the log-normaliser of all its scores.
// Constants: GROUP

// Turns head_softmax, for every head of the group, into (cut, maximum of the split). In place, because workgroup memory is short.
fn group_cuts(group0: u32, split: u32, length: u32, lid: u32) {
  group_softmax(group0, lid);
  if (lid < GROUP) {
    let state = group0 + lid;
    let softmax = head_softmax[lid];
    let eta = head_threshold(state, length);
    var cut = LOWEST;
    if (eta > LOWEST) { cut = softmax.x + log(softmax.y) + eta; }
    if (has(params.flags, FLAG_LARGEST)) { cut = min(cut, softmax.x); }
    head_softmax[lid] = vec2f(cut, split_softmax[state * params.splits + split].x);
  }
  workgroupBarrier();
}
