// The log-sum-exp of every head's scores, in base 2: m + log2(sum of 2^(s - m)) with scores that are scaled by log2(e).
// What runtimes with a paged cache merge partial attentions by. Grid: (1).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec2f>;       // [1, QUERY_HEADS, splits] (max, sum)
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;        // [1, QUERY_HEADS]

const LOG2_E = 1.4426950408889634;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lid: u32) {
  for (var head = lid; head < QUERY_HEADS; head += WG) {
    var softmax = vec2f(LOWEST, 0.0);
    for (var i = 0u; i < params.splits; i++) { softmax = merge_softmax(softmax, partials[head * params.splits + i]); }
    lse[head] = softmax.x * LOG2_E + log2(softmax.y);
  }
}
