// Comes after the attention of a step that learns. One workgroup for each head finds the exact threshold of this step and records it in the
// window; when the window is full, it fits the power law. After a dense step, another workgroup for each head combines the head's output.
// Both are in one dispatch, since a second dispatch would wait for the first.
// Thresholds are stored as logarithms, because s - max - log(sum) cannot underflow.
// Grid: (2 * QUERY_HEADS, batch) after a dense step; the workgroups for thresholds come first, since they take longer. (QUERY_HEADS, batch)
// after a sifted step. There combine ran in a dispatch before, because it writes the head's state, too.
// Buffers: lengths, split_softmax, split_output, scores, layer_state (written), window (written), output (written)
// Constants: WG, QUERY_HEADS

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  setup_reduce();
  let learns = wid.x < QUERY_HEADS;
  let head = wid.y * QUERY_HEADS + wid.x % QUERY_HEADS;
  var held: Held;
  if (learns) { load_scores(&held, head, lid * sample_step(), WG * sample_step()); }
  let length = u32(lengths[wid.y]) + params.length_bias;
  let softmax = splits_softmax(head, lid);
  if (!learns) {
    combine_dense(head, softmax, lid);
    return;
  }
  let theta = quantile(&held, head, length, softmax, lid);
  if (lid == 0u) {
    let x = log(select(f32(params.step), f32(length), has(params.flags, FLAG_LENGTH_AXIS)));
    window[head * params.window + params.window_index] = vec2f(x, theta - softmax.x - log(softmax.y));
    if (has(params.flags, FLAG_FIT)) { fit(head); }
  }
}
