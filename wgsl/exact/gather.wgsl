// Second pass of an exact step: reads the V rows that some head of the group keeps, once for all heads. A head keeps a row whose
// probability is at or above its threshold. The exact log-normaliser follows from the softmax of all splits; with it, each threshold
// becomes a cut, the least score whose row the head keeps.
// A team is TEAM lanes of a subgroup. Teams need no barriers and no lists in workgroup memory: a team takes KEYS times TEAM keys, ballots
// say which of them are read, and lanes find the next ones by counting bits.
// Grid: (splits, KV_HEADS * BLOCKS, batch), and one workgroup more in x where corrections are prepared (correction.wgsl).
// Buffers: lengths, scores, split_softmax, layer_state, values, split_output (written), q
// Constants: WG, BLOCKS, HEADS, GROUP, QUERY_HEADS, TEAM, KEYS, LANES, LANE_WORDS, V4, TURNS, UNROLL, TEAM_SLOTS, WORDS
// Constants: SPLIT_VECS

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
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
  let tl = subgroup_lane % TEAM;                         // lane within the team
  let team0 = subgroup_lane - tl;                        // the team's first lane within the subgroup
  let first_key = begin + (lid / TEAM) * KEYS * TEAM;
  let slot = tl / LANES;                                 // slot within the team: LANES lanes that read one row side by side
  let lane = tl % LANES;
  let team_mask = (0xffffffffu >> (32u - TEAM)) << (team0 % 32u);
  var acc: Sums;
  for (var i = 0u; i < HEADS * LANE_WORDS * V4; i++) { // unroll
    acc[i] = vec4f(0.0);
  }
  // Of this invocation's keys: (mass of the rows that are read and serve the head, how many rows the head keeps).
  var kept: array<vec2f, HEADS>;
  for (var h = 0u; h < HEADS; h++) { // unroll
    kept[h] = vec2f(0.0);
  }
  var rows_read = 0.0;

  for (var step = 0u; begin + step < end; step += WG * KEYS) {
    let base = first_key + step;
    // Which of the team's keys are read. A lane has KEYS of them, one in each of KEYS rounds.
    var p: array<f32, KEYS * HEADS>;                     // scores first, then weights
    for (var j = 0u; j < KEYS; j++) { // unroll
      let key = min(base + j * TEAM + tl, end - 1u);
      for (var h = 0u; h < HEADS; h++) { // unroll
        p[j * HEADS + h] = scores[(group0 + first + min(h, heads - 1u)) * params.score_stride + key];
      }
    }
    var bits: array<u32, KEYS>;                          // the lanes whose keys are read, in each round
    var before: array<u32, KEYS>;                        // how many are read in earlier rounds
    var total = 0u;
    for (var j = 0u; j < KEYS; j++) { // unroll
      let key = base + j * TEAM + tl;
      var any = key == newest;
      for (var h = 0u; h < HEADS; h++) { // unroll
        any = any || p[j * HEADS + h] >= cut[h];
      }
      if (BLOCKS > 1u && key < end) {
        for (var h = 0u; h < GROUP; h++) {
          any = any || scores[(group0 + h) * params.score_stride + key] >= head_softmax[h].x;
        }
      }
      any = any && key < end;
      store_read(batch, kv_head, key, any);
      let ballot = subgroupBallot(any);
      bits[j] = (ballot[team0 / 32u] & team_mask) >> (team0 % 32u);
      before[j] = total;
      total += countOneBits(bits[j]);
      rows_read += f32(any);
      for (var h = 0u; h < HEADS; h++) { // unroll
        let keep = any && (p[j * HEADS + h] >= cut[h] || key == newest);
        p[j * HEADS + h] = select(0.0, exp(p[j * HEADS + h] - top[h]), any && (share || keep));
        kept[h] += vec2f(p[j * HEADS + h], f32(keep));
      }
    }

    for (var queue = 0u; subgroupAny(queue < total); queue += TEAM) {
      // The rows that are read form a queue, of which each turn reads TEAM. Lane tl takes row i. Its key is the rank-th that the ballot of
      // some round says is read; `source` is the lane that has the key.
      let i = queue + tl;
      var of_round = 0u;
      var word = bits[0];
      var rank = i;
      for (var j = 0u; j < KEYS; j++) { // unroll
        if (i >= before[j]) {
          of_round = j;
          word = bits[j];
          rank = i - before[j];
        }
      }
      let source = nth_bit(word, rank);
      var mine: array<f32, HEADS>;
      for (var h = 0u; h < HEADS; h++) { // unroll
        mine[h] = 0.0;
        for (var j = 0u; j < KEYS; j++) { // unroll
          let other = subgroupShuffle(p[j * HEADS + h], team0 + source);
          if (of_round == j && i < total) { mine[h] = other; }
        }
      }
      let my_key = select(end - 1u, base + of_round * TEAM + source, i < total);
      for (var turn = 0u; turn < TURNS; turn++) { // unroll
        var rows: array<Word, UNROLL * LANE_WORDS>;
        for (var j = 0u; j < UNROLL; j++) { // unroll
          let row = v_row(batch, kv_head, subgroupShuffle(my_key, team0 + (turn * UNROLL + j) * TEAM_SLOTS + slot));
          for (var n = 0u; n < LANE_WORDS; n++) { // unroll
            rows[j * LANE_WORDS + n] = values[row + min(lane + n * LANES, WORDS - 1u)];
          }
        }
        for (var j = 0u; j < UNROLL; j++) { // unroll
          var weight: array<f32, HEADS>;
          for (var h = 0u; h < HEADS; h++) { // unroll
            weight[h] = subgroupShuffle(mine[h], team0 + (turn * UNROLL + j) * TEAM_SLOTS + slot);
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
    }
  }

  // What the split leaves for combine.
  for (var h = 0u; h < HEADS; h++) { // unroll
    let head = (group0 + first + h) * params.splits + wid.x;
    let total = workgroup_sum(vec4f(kept[h], rows_read, 0.0), lid);
    if (lid == 0u && h < heads) { split_output[head * SPLIT_VECS + SPLIT_VECS - 1u] = total; }
  }
  write_sums(&acc, lid, tl, group0 + first, heads, wid.x);
}
