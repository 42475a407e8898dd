// The state of a layer as one buffer, `layer_state`: HeadState [batch, QUERY_HEADS], of which (log_alpha, beta, .., status) is the first
// of HEAD_VECS vec4u, then the moments, vec4f [batch, KV_HEADS, MOMENTS].
// Constants: QUERY_HEADS, KV_HEADS, MOMENTS

fn moments_begin(batch: u32, kv_head: u32) -> u32 {
  return params.batch * QUERY_HEADS * HEAD_VECS + (batch * KV_HEADS + kv_head) * MOMENTS;
}
