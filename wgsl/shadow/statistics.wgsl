// The statistics that the shadow is encoded with lie in the layer's state, behind the moments: vec4f [batch, KV_HEADS, 2, VECS], the mean key
// and the deviation of each channel. They are measured when the whole cache is encoded, and stay until it is encoded anew.
// Constants: KV_HEADS, VECS, MOMENTS

fn statistics_begin(batch: u32, kv_head: u32) -> u32 {
  return moments_begin(0u, 0u) + params.batch * KV_HEADS * MOMENTS + (batch * KV_HEADS + kv_head) * 2u * VECS;
}
