// First pass of an exact step on devices without subgroups: the score s = scale * q . k of every key, in f32, and the softmax
// (maximum, sum) of every split. An invocation takes a key at a time. Each K row is read once for all HEADS query heads of a block.
// Grid: (splits, KV_HEADS * BLOCKS, batch).
// Buffers: lengths, q, keys, scores (written), split_softmax (written)
// Constants: HEADS, WORDS, V4, WG, BLOCKS, GROUP, QUERY_HEADS

var<workgroup> q_tile: array<vec4f, HEADS * WORDS * V4>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  setup_reduce();
  let batch = wid.z;
  let kv_head = wid.y / BLOCKS;
  let first = (wid.y % BLOCKS) * HEADS;                  // first head of this block within the group
  let head0 = kv_head * GROUP + first;
  let heads = min(HEADS, GROUP - first);
  let q_base = (batch * QUERY_HEADS + head0) * WORDS;
  for (var i = lid; i < heads * WORDS; i += WG) {
    let w = q[q_base + i];
    q_tile[i * V4] = word_lo(w) * params.scale;
    if (V4 == 2u) { q_tile[i * V4 + 1u] = word_hi(w) * params.scale; }
  }
  workgroupBarrier();

  let length = u32(lengths[batch]) + params.length_bias;
  let begin = wid.x * params.chunk;
  let end = min(begin + params.chunk, length);
  var softmax: array<vec2f, HEADS>;                      // (maximum, sum) over this invocation's keys
  for (var h = 0u; h < HEADS; h++) { softmax[h] = vec2f(LOWEST, 0.0); }

  for (var key = begin + lid; key < end; key += WG) {
    var acc: array<f32, HEADS>;
    for (var h = 0u; h < HEADS; h++) { acc[h] = 0.0; }
    let row = k_row(batch, kv_head, key);
    for (var w = 0u; w < WORDS; w++) {
      let word = keys[row + w];
      let lo = word_lo(word);
      let hi = word_hi(word);
      for (var h = 0u; h < HEADS; h++) {
        let at = (h * WORDS + w) * V4;
        acc[h] += dot(lo, q_tile[at]);
        if (V4 == 2u) { acc[h] += dot(hi, q_tile[at + 1u]); }
      }
    }
    for (var h = 0u; h < heads; h++) {
      let s = acc[h];
      scores[(batch * QUERY_HEADS + head0 + h) * params.score_stride + key] = s;
      softmax[h] = merge_softmax(softmax[h], vec2f(s, 1.0));
    }
  }

  for (var h = 0u; h < heads; h++) {
    let whole = workgroup_softmax(softmax[h], lid);
    if (lid == 0u) { split_softmax[(batch * QUERY_HEADS + head0 + h) * params.splits + wid.x] = whole; }
  }
}
