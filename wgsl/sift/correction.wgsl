// What the sift and the gather kernels read of a layer's state: the thresholds of heads, and the moments that corrections come from.
// Constants: QUERY_HEADS, SPLIT_VECS, WORDS, VECS, WG, LINEAR_GAIN, V4, MOMENTS

fn head_threshold(head: u32, length: u32) -> f32 {
  let state = layer_state[head * HEAD_VECS];
  return log_threshold(state.w, bitcast<f32>(state.x), bitcast<f32>(state.y), length);
}

fn moment(at: u32) -> vec4f { return bitcast<vec4f>(layer_state[at]); }

// Computes the corrections of `heads` heads from `head0` on. A correction is what the output gets for each unit of dropped mass: the mean V
// row and a share (LINEAR_GAIN) of Cov(v, k) q. It lies behind the outputs of all splits, and combine.wgsl adds it.
// A workgroup beside those of the splits does this, for the heads of a block. combine.wgsl itself would have to wait for the moments, which
// K and V have driven out of the caches by then.
fn write_corrections(head0: u32, heads: u32, batch: u32, kv_head: u32, lid: u32) {
  let at = moments_begin(batch, kv_head);
  let to = params.batch * QUERY_HEADS * params.splits * SPLIT_VECS + head0 * SPLIT_VECS;
  let words = select(0u, WORDS, has(params.flags, FLAG_LINEAR));
  for (var i = lid; i < heads * VECS; i += WG) {
    let h = i / VECS;
    let vec = i % VECS;
    var correction = moment(at + vec);
    for (var w = 0u; w < words; w++) {
      let word = q[(head0 + h) * WORDS + w];
      let lo = word_lo(word) * (LINEAR_GAIN * params.scale);
      let hi = word_hi(word) * (LINEAR_GAIN * params.scale);
      let column = at + VECS + w * V4 * 4u * VECS + vec;
      for (var e = 0u; e < 4u; e++) { // unroll
        correction += lo[e] * moment(column + e * VECS);
        if (V4 == 2u) { correction += hi[e] * moment(column + (4u + e) * VECS); }
      }
    }
    split_output[to + h * SPLIT_VECS + vec] = correction;
  }
  if (lid < heads) { split_output[to + lid * SPLIT_VECS + SPLIT_VECS - 1u] = moment(at + MOMENTS - 1u); }
}
