// Dense: every row takes part.
const SIFT = 0u;
fn row_cut(head: u32, length: u32) -> f32 { return LOWEST; }
