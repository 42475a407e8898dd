// K and V of one sequence in pages, [pages, 2, KV_HEADS, PAGE, HEAD_SIZE]: the K rows of a page, then its V rows. Key i is row
// i % PAGE of the page that the table names at i / PAGE; the table begins at params.capacity, in a buffer that may hold more.
// Constants: PAGE, KV_HEADS, WORDS

fn page_row(half: u32, kv_head: u32, key: u32) -> u32 {
  let page = u32(page_table[params.capacity + key / PAGE]);
  return (((page * 2u + half) * KV_HEADS + kv_head) * PAGE + key % PAGE) * WORDS;
}
fn k_row(batch: u32, kv_head: u32, key: u32) -> u32 { return page_row(0u, kv_head, key); }
fn v_row(batch: u32, kv_head: u32, key: u32) -> u32 { return page_row(1u, kv_head, key); }
const LOOKS_UP = true;
