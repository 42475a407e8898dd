// For steps that nobody inspects: which V rows are read is not noted.

fn store_read(batch: u32, kv_head: u32, key: u32, reads: bool) {}
