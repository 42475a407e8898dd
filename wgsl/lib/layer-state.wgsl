// The state of a layer is one buffer, `layer_state`. It begins with the heads' states, HeadState [batch, QUERY_HEADS], each HEAD_VECS vec4u
// long; the first vec4u is (log_alpha, beta, r2, status). Behind them lie the moments, vec4f [batch, KV_HEADS, MOMENTS]: the mean V row and
// the covariance of V and K (moments.wgsl).
// Constants: QUERY_HEADS, KV_HEADS, MOMENTS

fn moments_begin(batch: u32, kv_head: u32) -> u32 {
  return params.batch * QUERY_HEADS * HEAD_VECS + (batch * KV_HEADS + kv_head) * MOMENTS;
}
