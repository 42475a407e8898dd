// Sifted in one pass: the threshold is held against the score itself, with a lower bound of the log-normaliser (bound.wgsl).
const SIFT = 1u;
@group(0) @binding(7) var<storage, read> cuts: array<f32>;               // [batch, QUERY_HEADS]

fn row_cut(head: u32, length: u32) -> f32 { return cuts[head]; }
