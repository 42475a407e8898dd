// Compares two attention outputs: finds their largest difference and the largest element of the second. Both are kept as the bits of
// non-negative floats, which are ordered like integers, so that atomicMax works on them. The kernel runs within a pass of the runtime and
// has no parameters.
// Constants: WG, QUERY_HEADS, WORDS

@group(0) @binding(0) var<storage, read> ours: array<Word>;
@group(0) @binding(1) var<storage, read> stock: array<Word>;
@group(0) @binding(2) var<storage, read_write> result: array<atomic<u32>, 2>;

fn largest(v: vec4f) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lid: u32) {
  for (var i = lid; i < QUERY_HEADS * WORDS; i += WG) {
    let lo = word_lo(ours[i]);
    let hi = word_hi(ours[i]);
    let stock_lo = word_lo(stock[i]);
    let stock_hi = word_hi(stock[i]);
    let lo_difference = abs(lo - stock_lo);
    let hi_difference = abs(hi - stock_hi);
    // A NaN compares false with everything, and max may pass it over. It is reported as a huge difference.
    let finite = all(lo_difference <= vec4f(3.0e38)) && all(hi_difference <= vec4f(3.0e38));
    let difference = max(largest(lo_difference), largest(hi_difference));
    atomicMax(&result[0], bitcast<u32>(select(3.0e38, difference, finite)));
    atomicMax(&result[1], bitcast<u32>(max(largest(abs(stock_lo)), largest(abs(stock_hi)))));
  }
}
