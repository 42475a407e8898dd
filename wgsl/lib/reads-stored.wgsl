// For steps that are inspected: notes which V rows are read, one bit for each key. The host clears the bits before the step. Several
// workgroups may set bits of one word, because query heads of a group may be in different blocks, and splits need not begin at a word.
// Buffers: read_bits (written)
// Constants: KV_HEADS

fn store_read(batch: u32, kv_head: u32, key: u32, reads: bool) {
  let words = params.score_stride / 32u; // of each KV head
  if (reads) { atomicOr(&read_bits[(batch * KV_HEADS + kv_head) * words + key / 32u], 1u << (key % 32u)); }
}
