// A step that learns, after its attention: a workgroup for each head records the exact threshold of this step in the window, and at the
// window's end fits the power law; another combines the head's outputs. Both in one dispatch, since a second one would wait for the
// first. Thresholds are kept as logarithms: s - max - log(sum) cannot underflow.
// Grid: (2 * QUERY_HEADS, batch) of a dense step, thresholds first: they take longer. (QUERY_HEADS, batch) of a sifted one, which combine
// has come before: both write the head's state.
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
