// First pass of an exact step: the score s = scale * q . k of every key, in f32, and the softmax (maximum, sum) of every split. Each K row
// is read once for all HEADS query heads of a block. Rows lie across lanes as rows.wgsl says.
// Grid: (splits, KV_HEADS * BLOCKS, batch).
// Buffers: lengths, q, keys, scores (written), split_softmax (written)
// Constants: SLOTS, UNROLL, WG, BLOCKS, HEADS, GROUP, QUERY_HEADS, LANES

const TILE = SLOTS * UNROLL;             // keys that the workgroup takes at a time

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  setup_reduce();
  let batch = wid.z;
  let kv_head = wid.y / BLOCKS;
  let first = (wid.y % BLOCKS) * HEADS;                  // first head of this block within the group
  let heads = min(HEADS, GROUP - first);
  let head0 = batch * QUERY_HEADS + kv_head * GROUP + first;
  let slot = lid / LANES;
  let lane = lid % LANES;
  var query: Query;
  load_query(&query, head0, heads, lane);

  let length = u32(lengths[batch]) + params.length_bias;
  let begin = wid.x * params.chunk;
  let end = min(begin + params.chunk, length);
  var top: PerHead;
  var sum: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    top[h] = LOWEST;
    sum[h] = 0.0;
  }
  var rows: Rows;
  if (begin < end) { load_keys(&rows, batch, kv_head, begin, end - 1u, slot, lane, sg_lane - lane); }
  for (var base = begin; base < end; base += TILE) {
    let score = row_scores(&query, &rows, lane);
    // The next tile is loaded while this one is worked on.
    load_keys(&rows, batch, kv_head, base + TILE, end - 1u, slot, lane, sg_lane - lane);
    let key = base + tile_row(slot, lane % UNROLL);
    if (key < end && lane < UNROLL) {
      for (var h = 0u; h < HEADS; h++) { // unroll
        if (h < heads) { scores[(head0 + h) * params.score_stride + key] = score[h]; }
        let m = max(top[h], score[h]);
        // An online softmax scales the old sum or the new score. One of the two factors is always 1, so that one exponential is enough.
        let e = exp(-abs(score[h] - top[h]));
        sum[h] = select(sum[h] + e, sum[h] * e + 1.0, score[h] > top[h]);
        top[h] = m;
      }
    }
  }
  for (var h = 0u; h < heads; h++) {
    let softmax = workgroup_softmax(vec2f(top[h], sum[h]), lid);
    if (lid == 0u) { split_softmax[(head0 + h) * params.splits + wid.x] = softmax; }
  }
}
