// Second pass of an exact step on devices without subgroups: reads the V rows that some head of the group keeps, once for all heads. A head
// keeps a row whose probability is at or above its threshold. The exact log-normaliser follows from the softmax of all splits; with it,
// each threshold becomes a cut, the least score whose row the head keeps. The keys that are read are put into a list, a tile at a time.
// Grid: (splits, KV_HEADS * BLOCKS, batch), and one workgroup more in x where corrections are prepared (correction.wgsl).
// Buffers: lengths, scores, split_softmax, layer_state, values, split_output (written), q
// Constants: LIST_TILE, HEADS, WG, V4, BLOCKS, GROUP, QUERY_HEADS, LANES, ACC, LANE_WORDS, KEYS, SLOTS, UNROLL, WORDS
// Constants: SPLIT_VECS, HEAD_SIZE

var<workgroup> list: array<u32, LIST_TILE>;            // the keys of the tile whose rows are read
var<workgroup> weight: array<f32, HEADS * LIST_TILE>;  // exp(score - maximum of the split); 0 where the row does not serve the head
var<workgroup> spill: array<vec4f, WG * V4>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  setup_reduce();
  let batch = wid.z;
  let kv_head = wid.y / BLOCKS;
  let first = (wid.y % BLOCKS) * HEADS;                  // first head of this block within the group
  let heads = min(HEADS, GROUP - first);
  let group0 = batch * QUERY_HEADS + kv_head * GROUP;    // first query head of the group, over the batch
  if (wid.x == params.splits) {
    write_corrections(group0 + first, heads, batch, kv_head, lid);
    return;
  }
  let length = u32(lengths[batch]) + params.length_bias;
  let begin = wid.x * params.chunk;
  let end = min(begin + params.chunk, length);

  // The cut of every head of the group, and the split's maximum.
  group_softmax(group0, lid);
  if (lid < GROUP) {
    let state = group0 + lid;
    let softmax = head_softmax[lid];
    let eta = head_threshold(state, length);
    var cut = LOWEST;                                    // the head keeps a row whose score is at least this
    if (eta > LOWEST) { cut = softmax.x + log(softmax.y) + eta; }
    if (has(params.flags, FLAG_LARGEST)) { cut = min(cut, softmax.x); }
    head_softmax[lid] = vec2f(cut, split_softmax[state * params.splits + wid.x].x);
  }
  workgroupBarrier();
  var cut: array<f32, HEADS>;
  var top: array<f32, HEADS>;                            // maximum of the split
  for (var h = 0u; h < HEADS; h++) { // unroll
    let at = head_softmax[first + min(h, heads - 1u)];
    cut[h] = at.x;
    top[h] = at.y;
  }

  let share = has(params.flags, FLAG_SHARE);
  let newest = select(0xffffffffu, length - 1u, has(params.flags, FLAG_NEWEST));
  let slot = lid / LANES;
  let lane = lid % LANES;
  var acc: array<vec4f, ACC>;
  for (var i = 0u; i < HEADS * LANE_WORDS * V4; i++) { // unroll
    acc[i] = vec4f(0.0);
  }
  // Of this invocation's keys: (mass of the rows that are read and serve the head, how many rows the head keeps).
  var kept: array<vec2f, HEADS>;
  for (var h = 0u; h < HEADS; h++) { // unroll
    kept[h] = vec2f(0.0);
  }
  var rows_read = 0u;

  for (var tile = begin; tile < end; tile += LIST_TILE) {
    var s: array<f32, KEYS * HEADS>;
    for (var j = 0u; j < KEYS; j++) { // unroll
      let key = min(tile + j * WG + lid, end - 1u);
      for (var h = 0u; h < HEADS; h++) { // unroll
        s[j * HEADS + h] = scores[(group0 + first + min(h, heads - 1u)) * params.score_stride + key];
      }
    }
    var mine = 0u;                                       // bit j: key tile + j * WG + lid is read
    for (var j = 0u; j < KEYS; j++) { // unroll
      let key = tile + j * WG + lid;
      var any = key == newest;
      for (var h = 0u; h < HEADS; h++) { // unroll
        any = any || s[j * HEADS + h] >= cut[h];
      }
      if (BLOCKS > 1u && key < end) {
        for (var h = 0u; h < GROUP; h++) {
          any = any || scores[(group0 + h) * params.score_stride + key] >= head_softmax[h].x;
        }
      }
      mine |= u32(any && key < end) << j;
    }
    // The list: a prefix sum says where each invocation's keys go.
    let place = workgroup_scan(countOneBits(mine), lid);
    var at = place.x;
    for (var j = 0u; j < KEYS; j++) { // unroll
      if ((mine & (1u << j)) != 0u) {
        let key = tile + j * WG + lid;
        store_read(batch, kv_head, key, true);
        for (var h = 0u; h < HEADS; h++) { // unroll
          let keep = s[j * HEADS + h] >= cut[h] || key == newest;
          let p = select(0.0, exp(s[j * HEADS + h] - top[h]), share || keep);
          kept[h] += vec2f(p, f32(keep));
          weight[h * LIST_TILE + at] = p;
        }
        list[at] = key;
        at++;
      }
    }
    rows_read += place.y;
    workgroupBarrier();
    // The V rows of the list. A slot is LANES invocations that read one row side by side.
    let last = max(place.y, 1u) - 1u;
    for (var i = slot; i < place.y; i += SLOTS * UNROLL) {
      var rows: array<Word, UNROLL * LANE_WORDS>;
      for (var j = 0u; j < UNROLL; j++) { // unroll
        let row = v_row(batch, kv_head, list[min(i + j * SLOTS, last)]);
        for (var n = 0u; n < LANE_WORDS; n++) { // unroll
          rows[j * LANE_WORDS + n] = values[row + min(lane + n * LANES, WORDS - 1u)];
        }
      }
      for (var j = 0u; j < UNROLL; j++) { // unroll
        let at = min(i + j * SLOTS, last);
        var p: array<f32, HEADS>;
        for (var h = 0u; h < HEADS; h++) { // unroll
          p[h] = select(weight[h * LIST_TILE + at], 0.0, i + j * SLOTS > last);
        }
        for (var n = 0u; n < LANE_WORDS; n++) { // unroll
          let lo = word_lo(rows[j * LANE_WORDS + n]);
          let hi = word_hi(rows[j * LANE_WORDS + n]);
          for (var h = 0u; h < HEADS; h++) { // unroll
            acc[(h * LANE_WORDS + n) * V4] += p[h] * lo;
            if (V4 == 2u) { acc[(h * LANE_WORDS + n) * V4 + V4 - 1u] += p[h] * hi; }
          }
        }
      }
    }
    workgroupBarrier();
  }

  // What the split leaves for combine.
  for (var h = 0u; h < HEADS; h++) { // unroll
    let head = (group0 + first + h) * params.splits + wid.x;
    let total = workgroup_sum(vec4f(kept[h], 0.0, 0.0), lid);
    if (lid == 0u && h < heads) { split_output[head * SPLIT_VECS + SPLIT_VECS - 1u] = vec4f(total.xy, f32(rows_read), 0.0); }
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      for (var e = 0u; e < V4; e++) { // unroll
        spill[lid * V4 + e] = acc[(h * LANE_WORDS + n) * V4 + e];
      }
      workgroupBarrier();
      for (var i = lid; i < LANES * V4; i += WG) {
        var sum = spill[i];
        for (var r = 1u; r < SLOTS; r++) { sum += spill[r * LANES * V4 + i]; }
        let v = n * LANES * V4 + i;
        if (v < HEAD_SIZE / 4u && h < heads) { split_output[head * SPLIT_VECS + v] = sum; }
      }
      workgroupBarrier();
    }
  }
}
