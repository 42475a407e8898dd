// Reads the statistics of the shadow.
// Constants: VECS

fn mean_key(batch: u32, kv_head: u32, vec: u32) -> vec4f { return bitcast<vec4f>(layer_state[statistics_begin(batch, kv_head) + vec]); }
fn deviation(batch: u32, kv_head: u32, vec: u32) -> vec4f {
  return bitcast<vec4f>(layer_state[statistics_begin(batch, kv_head) + VECS + vec]);
}
