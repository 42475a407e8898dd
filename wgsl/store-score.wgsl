// Scores are written, for the kernels that come after.
@group(0) @binding(7) var<storage, read_write> scores: array<f32>;       // [batch, QUERY_HEADS, score_stride]
fn store_score(head: u32, key: u32, score: f32) { scores[head * params.score_stride + key] = score; }
