// The KV layout of one sequence in pages, [pages, 2, KV_HEADS, PAGE, HEAD_SIZE]: a page has K rows first and V rows after them.
// Key i is row i % PAGE of the page that entry i / PAGE of the page table names. The table begins at entry params.capacity of its buffer,
// which may hold other tables, too.
// Constants: PAGE, KV_HEADS, WORDS

fn page_row(half: u32, kv_head: u32, key: u32) -> u32 {
  let page = u32(page_table[params.capacity + key / PAGE]);
  return (((page * 2u + half) * KV_HEADS + kv_head) * PAGE + key % PAGE) * WORDS;
}
fn k_row(batch: u32, kv_head: u32, key: u32) -> u32 { return page_row(0u, kv_head, key); }
fn v_row(batch: u32, kv_head: u32, key: u32) -> u32 { return page_row(1u, kv_head, key); }
const LOOKS_UP = true;   // finding a row reads the page table: kernels let each lane look up one row and tell the others
