// Dense attention of one split in one pass over its keys: scores, an online softmax and weighted V rows, for all HEADS query heads of a
// block at once. It leaves the split's softmax (maximum, sum) and its output relative to that maximum; combine.wgsl merges the splits. No
// score leaves the workgroup, unless store_scores stores them for learning (scores-stored.wgsl).
// A lane's row is row (lane % UNROLL) of its slot, the LANES lanes that read rows side by side (rows.wgsl).
// Registers are short: four more values a lane cost a quarter of the speed on an H200 (docs/lab/kernels.md).
// Grid: (splits, KV_HEADS * BLOCKS, batch).
// Buffers: lengths, q, keys, values, split_softmax (written), split_output (written)
// Constants: SLOTS, UNROLL, HEADS, WG, BLOCKS, GROUP, QUERY_HEADS, LANES, LANE_WORDS, V4, WORDS, TEAM

const TILE = SLOTS * UNROLL;             // keys that the workgroup takes at a time
var<workgroup> slot_softmax: array<vec2f, HEADS * SLOTS>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
  @builtin(subgroup_invocation_id) sg_lane: u32,
) {
  let batch = wid.z;
  let kv_head = wid.y / BLOCKS;
  let first = (wid.y % BLOCKS) * HEADS;                  // first head of this block within the group
  let heads = min(HEADS, GROUP - first);
  let head0 = batch * QUERY_HEADS + kv_head * GROUP + first; // the same over the batch
  let slot = lid / LANES;
  let lane = lid % LANES;
  let sg_slot = sg_lane - lane;                          // the slot's first lane within the subgroup
  var query: Query;
  load_query(&query, head0, heads, lane);

  let length = u32(lengths[batch]) + params.length_bias;
  let begin = wid.x * params.chunk;
  let end = min(begin + params.chunk, length);
  var acc: Sums;
  for (var i = 0u; i < HEADS * LANE_WORDS * V4; i++) { // unroll
    acc[i] = vec4f(0.0);
  }
  var top: PerHead;                                      // running maximum of the slot's scores
  var sum: PerHead;                                      // sum of exp(score - top) over this lane's rows
  for (var h = 0u; h < HEADS; h++) { // unroll
    top[h] = LOWEST;
    sum[h] = 0.0;
  }

  for (var base = begin; base < end; base += TILE) {
    var rows: Rows;
    load_keys(&rows, batch, kv_head, base, end - 1u, slot, lane, sg_slot);
    let key = base + tile_row(slot, lane % UNROLL);
    let valid = key < end;
    var p = row_scores(&query, &rows, lane);
    // Between the loads of V and their use, storing the scores took 27% longer (docs/lab/kernels.md).
    store_scores(&p, head0, heads, key, end, lane);
    var found = 0u;
    if (LOOKS_UP) { found = v_row(batch, kv_head, min(base + tile_row(slot, lane % UNROLL), end - 1u)); }
    for (var j = 0u; j < UNROLL; j++) { // unroll
      var row = 0u;
      if (LOOKS_UP) { row = subgroupShuffle(found, sg_slot + j); } else {
        row = v_row(batch, kv_head, min(base + tile_row(slot, j), end - 1u));
      }
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        rows[j * LANE_WORDS + n] = values[row + min(lane + n * LANES, WORDS - 1u)];
      }
    }
    var grows = false;
    for (var h = 0u; h < HEADS; h++) { // unroll
      grows = grows || (valid && p[h] > top[h]);
    }
    // The maximum is taken over the slot only when some score is above it, which is rare after the first tiles.
    if (subgroupAny(grows)) {
      for (var h = 0u; h < HEADS; h++) { // unroll
        let m = max(top[h], slot_max(select(LOWEST, p[h], valid)));
        let factor = exp(top[h] - m);
        top[h] = m;
        sum[h] *= factor;
        for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
          acc[h * LANE_WORDS * V4 + i] *= factor;
        }
      }
    }
    for (var h = 0u; h < HEADS; h++) { // unroll
      p[h] = select(0.0, exp(p[h] - top[h]), valid);
      sum[h] += p[h];
    }
    for (var j = 0u; j < UNROLL; j++) { // unroll
      var weight: PerHead;
      for (var h = 0u; h < HEADS; h++) { // unroll
        weight[h] = subgroupShuffle(p[h], sg_slot + j);
      }
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        let lo = word_lo(rows[j * LANE_WORDS + n]);
        let hi = word_hi(rows[j * LANE_WORDS + n]);
        for (var h = 0u; h < HEADS; h++) { // unroll
          acc[(h * LANE_WORDS + n) * V4] += weight[h] * lo;
          if (V4 == 2u) { acc[(h * LANE_WORDS + n) * V4 + V4 - 1u] += weight[h] * hi; }
        }
      }
    }
  }

  for (var h = 0u; h < HEADS; h++) { // unroll
    let total = slot_sum(sum[h]);
    if (lane == 0u) { slot_softmax[h * SLOTS + slot] = vec2f(top[h], total); }
  }
  workgroupBarrier();
  if (lid < heads) {
    var softmax = slot_softmax[lid * SLOTS];
    for (var i = 1u; i < SLOTS; i++) { softmax = merge_softmax(softmax, slot_softmax[lid * SLOTS + i]); }
    split_softmax[(head0 + lid) * params.splits + wid.x] = softmax;
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    var m = LOWEST;
    for (var i = 0u; i < SLOTS; i++) { m = max(m, slot_softmax[h * SLOTS + i].x); }
    let factor = exp(top[h] - m);
    for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
      acc[h * LANE_WORDS * V4 + i] *= factor;
    }
  }
  write_sums(&acc, lid, sg_lane % TEAM, head0, heads, wid.x);
}
