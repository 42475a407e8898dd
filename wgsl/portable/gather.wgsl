// Sift and gather: the global softmax maximum and sum from the splits' partials, the threshold of every head, the rows of
// this split at or above it compacted into a list, and only those V rows read, once for all heads of the group.
// Grid: (splits, KV_HEADS * BLOCKS, batch); (splits + 1, ..) where something stands for what is not read (rest.wgsl).
// Buffers: lengths, scores, split_softmax, layer_state, values, split_output (written), q
// Constants: LIST_TILE, HEADS, WG, V4, BLOCKS, GROUP, QUERY_HEADS, LANES, ACC, LANE_WORDS, KEYS, SLOTS, UNROLL, WORDS
// Constants: SPLIT_VECS, HEAD_SIZE

var<workgroup> list: array<u32, LIST_TILE>;            // kept keys of the tile
var<workgroup> weight: array<f32, HEADS * LIST_TILE>;  // exp(score - maximum of the split), 0 where a head does not share
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

  group_softmax(group0, lid);
  if (lid < GROUP) {
    let state = group0 + lid;
    let softmax = head_softmax[lid];
    let eta = head_threshold(state, length);
    var cut = LOWEST;                                    // keep if score >= cut
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
  var stat: array<vec2f, HEADS>;                         // (mass that takes part, rows the head keeps) among this invocation's keys
  for (var h = 0u; h < HEADS; h++) { // unroll
    stat[h] = vec2f(0.0);
  }
  var in_union = 0u;

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
    let place = workgroup_scan(countOneBits(mine), lid);
    var at = place.x;
    for (var j = 0u; j < KEYS; j++) { // unroll
      if ((mine & (1u << j)) != 0u) {
        let key = tile + j * WG + lid;
        for (var h = 0u; h < HEADS; h++) { // unroll
          let keep = s[j * HEADS + h] >= cut[h] || key == newest;
          let p = select(0.0, exp(s[j * HEADS + h] - top[h]), share || keep);
          stat[h] += vec2f(p, f32(keep));
          weight[h * LIST_TILE + at] = p;
        }
        list[at] = key;
        at++;
      }
    }
    in_union += place.y;
    workgroupBarrier();
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

  for (var h = 0u; h < HEADS; h++) { // unroll
    let head = (group0 + first + h) * params.splits + wid.x;
    let total = workgroup_sum(vec4f(stat[h], 0.0, 0.0), lid);
    if (lid == 0u && h < heads) { split_output[head * SPLIT_VECS + SPLIT_VECS - 1u] = vec4f(total.xy, f32(in_union), 0.0); }
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
