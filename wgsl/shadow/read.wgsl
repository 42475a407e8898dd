// Reads the rows that a round has noted: each slot takes UNROLL of them at a time, computes their exact scores, and adds the V rows to the
// sums by their weights. K and V take turns in the same registers, as in dense.wgsl, because registers are short.
// The noted rows of all teams are numbered in order, and are shared evenly among the teams, whoever found them.
//   ROUND_ROWS   rows that a team scans in a round
// Constants: TEAMS, TEAM, UNROLL, TEAM_SLOTS, LANES, LANE_WORDS, WORDS, HEADS, V4, ROUND_ROWS

const RAISED_FROM = 32.0;                // a score above this raises State.top; sums that are 2^32 times larger are still exact
var<workgroup> noted: array<u32, TEAMS * ROUND_ROWS>;    // keys of the rows that are read: each team has room for all that it scans
var<workgroup> team_found: array<u32, TEAMS>;            // how many of them a team has noted

// Noted key i of the workgroup.
fn noted_key(i: u32) -> u32 {
  var team = 0u;
  var rank = i;
  for (var t = 0u; t + 1u < TEAMS; t++) {
    let found = team_found[t];
    let beyond = team == t && rank >= found;
    rank -= select(0u, found, beyond);
    team += u32(beyond);
  }
  return noted[team * ROUND_ROWS + rank];
}

// Returns how many rows the workgroup has read.
fn read_noted(state: ptr<function, State>, acc: ptr<function, Sums>, at: Place, length: u32) -> u32 {
  var total = 0u;
  for (var t = 0u; t < TEAMS; t++) { total += team_found[t]; }
  let newest = select(0xffffffffu, length - 1u, has(params.flags, FLAG_NEWEST));
  var query: Query;
  load_query(&query, at.head0, HEADS, at.lane);
  // A lane's own row is the one whose score it gets.
  var own = ((at.lid / TEAM) * UNROLL + at.lane % UNROLL) * TEAM_SLOTS + at.tl / LANES;
  for (var base = at.lid / TEAM * UNROLL * TEAM_SLOTS; base < total; base += TEAMS * UNROLL * TEAM_SLOTS) {
    read_rows(state, acc, &query, noted_key(min(own, total - 1u)), own < total && at.lane < UNROLL, newest, at);
    own += TEAMS * UNROLL * TEAM_SLOTS;
  }
  return total;
}

// Reads the rows of a slot. key: of this lane's own row. valid: it is a row, and no other lane's.
fn read_rows(state: ptr<function, State>, acc: ptr<function, Sums>, query: ptr<function, Query>, key: u32, valid: bool, newest: u32, at: Place) {
  let own_k = k_row(at.batch, at.kv_head, key);
  var own_v = own_k;
  if (LOOKS_UP) { own_v = v_row(at.batch, at.kv_head, key); }
  var rows: Rows;
  for (var j = 0u; j < UNROLL; j++) { // unroll
    let row = subgroupShuffle(own_k, at.sg_slot + j);
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      rows[j * LANE_WORDS + n] = keys[row + min(at.lane + n * LANES, WORDS - 1u)];
    }
  }
  var score = row_scores(query, &rows, at.lane);
  for (var j = 0u; j < UNROLL; j++) { // unroll
    let row = subgroupShuffle(own_v, at.sg_slot + j);
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      rows[j * LANE_WORDS + n] = values[row + min(at.lane + n * LANES, WORDS - 1u)];
    }
  }
  var grows = false;
  for (var h = 0u; h < HEADS; h++) { // unroll
    let s = score[h] * LOG2_E;
    (*state).kept[h / 2u] += u32(valid && (key == newest || s >= head_cut[h])) << (16u * (h % 2u));
    score[h] = s - (*state).top[h];
    grows = grows || (valid && score[h] > RAISED_FROM);
  }
  // Some score lies far above State.top, because the estimate did not take its key. Sums become relative to this score.
  if (subgroupAny(grows)) {
    for (var h = 0u; h < HEADS; h++) { // unroll
      let by = team_max(vec2f(select(0.0, max(score[h], 0.0), valid))).x;
      let factor = exp2(-by);
      (*state).top[h] += by;
      score[h] -= by;
      (*state).kept_mass[h] *= factor;
      for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
        (*acc)[h * LANE_WORDS * V4 + i] *= factor;
      }
    }
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    score[h] = select(0.0, exp2(score[h]), valid);
    (*state).kept_mass[h] += score[h];
  }
  for (var j = 0u; j < UNROLL; j++) { // unroll
    var weight: PerHead;
    for (var h = 0u; h < HEADS; h++) { // unroll
      weight[h] = subgroupShuffle(score[h], at.sg_slot + j);
    }
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      let lo = word_lo(rows[j * LANE_WORDS + n]);
      let hi = word_hi(rows[j * LANE_WORDS + n]);
      for (var h = 0u; h < HEADS; h++) { // unroll
        (*acc)[(h * LANE_WORDS + n) * V4] += weight[h] * lo;
        if (V4 == 2u) { (*acc)[(h * LANE_WORDS + n) * V4 + V4 - 1u] += weight[h] * hi; }
      }
    }
  }
}
