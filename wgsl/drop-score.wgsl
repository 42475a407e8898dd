// Nothing needs the scores.
fn store_score(head: u32, key: u32, score: f32) {}
