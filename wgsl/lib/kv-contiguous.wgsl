// The KV layout where K and V are each [batch, KV_HEADS, capacity, HEAD_SIZE]. Keys are counted from row params.first_key on, where a
// sliding window begins.
// k_row and v_row give the storage word at which the row of a key begins. Every kernel finds rows through them alone, so that another
// layout only needs functions of the same names (src/kernel/text/kv-layout.ts).
// Constants: KV_HEADS, WORDS

fn k_row(batch: u32, kv_head: u32, key: u32) -> u32 {
  return ((batch * KV_HEADS + kv_head) * params.capacity + params.first_key + key) * WORDS;
}
fn v_row(batch: u32, kv_head: u32, key: u32) -> u32 {
  return ((batch * KV_HEADS + kv_head) * params.capacity + params.first_key + key) * WORDS;
}
const LOOKS_UP = false;  // finding a row reads no memory
