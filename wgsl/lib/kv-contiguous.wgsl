// Where K and V rows lie: the storage word at which the row of a key begins. Here both are [batch, KV_HEADS, capacity, HEAD_SIZE].
// Another layout brings functions of the same names (src/kernel/kv-layout.ts); every kernel reads K and V through them alone.
// Constants: KV_HEADS, WORDS

fn k_row(batch: u32, kv_head: u32, key: u32) -> u32 {
  return ((batch * KV_HEADS + kv_head) * params.capacity + key) * WORDS;
}
fn v_row(batch: u32, kv_head: u32, key: u32) -> u32 {
  return ((batch * KV_HEADS + kv_head) * params.capacity + key) * WORDS;
}
const LOOKS_UP = false;
