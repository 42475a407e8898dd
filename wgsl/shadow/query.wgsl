// Prepares the queries for the shadow: as encode.wgsl does with keys, each is rotated and coded, here with 8 bits an element. Because keys
// are divided by the deviations of the channels, queries are multiplied by them.
// Constants: HEADS, CODE_WORDS, SLOTS, LANES, LANE_WORDS, WORDS, V4, HADAMARD, WG, CODE_STEP

// For each u32 of a row's codes, the four words that its four shifts are multiplied by.
var<workgroup> query_codes: array<vec4<u32>, HEADS * CODE_WORDS>;
var<workgroup> query_offset: array<f32, HEADS>;          // score of a row that is the mean key, to base 2
var<workgroup> query_unit: array<f32, HEADS>;            // what a product of codes counts for a row of scale 1, halved, to base 2
var<workgroup> query_sum: array<i32, HEADS>;             // three times the sum of the query's codes

// Every lane must call it, and a barrier must follow. A slot prepares a head at a time.
fn prepare_queries(at: Place) {
  // What no head has stays 0: codes of a row beyond its last channel count nothing.
  for (var i = at.lid; i < HEADS * CODE_WORDS; i += WG) { query_codes[i] = vec4<u32>(0u); }
  workgroupBarrier();
  for (var h0 = 0u; h0 < HEADS; h0 += SLOTS) {
    let h = min(h0 + at.slot, HEADS - 1u);
    var x: Elements;
    var centre = vec4f(0.0);
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      let w = at.lane + n * LANES;
      if (w < WORDS) {
        let word = q[(at.head0 + h) * WORDS + w];
        for (var v = 0u; v < V4; v++) { // unroll
          var four = word_lo(word);
          if (v == 1u) { four = word_hi(word); }
          let vec = w * V4 + v;
          centre += four * mean_key(at.batch, at.kv_head, vec);
          x[n * V4 + v] = four * deviation(at.batch, at.kv_head, vec) * channel_signs(4u * vec);
        }
      }
    }
    hadamard(&x, at.lane);
    var most = 0.0;
    for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
      let a = abs(x[i]);
      most = max(most, max(max(a.x, a.y), max(a.z, a.w)));
    }
    most = lanes_max(most);
    let per_unit = select(0.0, 127.0 / most, most > 0.0);
    var sum = 0;
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      let w = at.lane + n * LANES;
      var words = vec4<u32>(0u);         // of this lane's channels; then also of its neighbours', whose codes share a u32
      for (var v = 0u; v < V4; v++) { // unroll
        let code = vec4<i32>(round(x[n * V4 + v] * per_unit));
        sum += code.x + code.y + code.z + code.w;
        let bytes = bitcast<vec4<u32>>(code) & vec4<u32>(255u);
        words[v] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
      }
      if (V4 == 1u) { words.y = quadSwapX(words.x); }
      words = vec4<u32>(words.xy, select(quadSwapX(words.xy), quadSwapY(words.xy), V4 == 1u));
      if (w * V4 % 4u == 0u && w < WORDS && h0 + at.slot < HEADS) { query_codes[h * CODE_WORDS + w * V4 / 4u] = words; }
    }
    let total = lanes_sum(vec4f(centre.x + centre.y + centre.z + centre.w, f32(sum), 0.0, 0.0));
    if (at.lane == 0u && h0 + at.slot < HEADS) {
      let to_base_2 = params.scale * LOG2_E;
      query_offset[h] = total.x * to_base_2;
      query_unit[h] = select(0.0, CODE_STEP * most / (127.0 * f32(HADAMARD)) * to_base_2 * 0.5, most > 0.0);
      query_sum[h] = 3 * i32(round(total.y));
    }
  }
}
