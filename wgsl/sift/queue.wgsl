// The queue of a team: V rows that are to be read, one for each lane. The team reads them when every lane has one. So its loads are as many
// and as wide as the dense kernel's, however few rows are kept.
// In this file scores are exponents of two relative to State.top, except for those in a queue, which are as they were screened.
// Constants: HEADS, HEAD_PAIRS, REFINES, LANE_WORDS, V4, TURNS, PIECES, UNROLL, PIECE_ROWS, TEAM_SLOTS, LANES, WORDS
// Constants: TEAM

const REFINED_FROM = -7.0;               // much probability: scores of rows of at least 2^-7 are refined
const RAISED_FROM = 32.0;                // a score above this raises State.top; sums that are 2^32 times larger are still exact

struct Queue {
  key: u32,          // the key that this lane has queued
  score: PairScores, // its scores
  count: u32,        // how many lanes of the team have a key: the first ones
}

// Queues keys: a lane with `fill` takes the key and the scores of lane `source`.
fn enqueue(queue: ptr<function, Queue>, key: u32, score: ptr<function, PairScores>, source: u32, fill: bool) {
  (*queue).key = select((*queue).key, subgroupShuffle(key, source), fill);
  for (var p = 0u; p < HEAD_PAIRS; p++) { // unroll
    (*queue).score[p] = pair_select((*queue).score[p], pair_shuffle((*score)[p], source), mask_of(fill));
  }
}

// Empties the queue: reads its V rows, and adds them to the sums by their weights. Scores of much probability are refined before.
fn drain(queue: ptr<function, Queue>, state: ptr<function, State>, acc: ptr<function, Sums>, newest: u32, at: Place) {
  let valid = at.tl < (*queue).count;
  let unit = score_unit() * LOG2_E;
  var score: PerHead;
  var much = false;                      // this lane's row has much probability for some head, which is rare
  for (var h = 0u; h < HEADS; h++) { // unroll
    score[h] = f32((*queue).score[h / 2u][h % 2u]) * unit - (*state).top[h];
    much = much || (valid && !(score[h] < REFINED_FROM));
  }
  var grows = false;
  if (subgroupAny(much)) {
    if (REFINES) { refine(&score, state, (*queue).key, much, at); }
    for (var h = 0u; h < HEADS; h++) { // unroll
      grows = grows || (valid && score[h] > RAISED_FROM);
    }
  }
  // Some score lies far above State.top, because the estimate did not take its key. Sums become relative to this score.
  if (subgroupAny(grows)) {
    for (var h = 0u; h < HEADS; h++) { // unroll
      let by = team_max(vec2f(select(0.0, max(score[h], 0.0), valid))).x;
      let factor = exp2(-by);
      (*state).top[h] += by;
      if (CUT_RELATIVE) { (*state).cut[h] -= by; }
      score[h] -= by;
      (*state).kept_mass[h] *= factor;
      (*state).dropped[h] *= factor;
      for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
        (*acc)[h * LANE_WORDS * V4 + i] *= factor;
      }
    }
  }
  let share = has(params.flags, FLAG_SHARE);
  var weight: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    let e = select(0.0, exp2(score[h]), valid);
    var least = (*state).cut[h];
    if (!CUT_RELATIVE) { least -= (*state).top[h]; }
    let keeps = valid && ((*queue).key == newest || score[h] >= least);
    weight[h] = select(0.0, e, keeps || share);
    (*state).kept_mass[h] += weight[h];
    (*state).dropped[h] += e - weight[h];
    (*state).kept[h / 2u] += u32(keeps) << (16u * (h % 2u));
  }
  add_rows(acc, &weight, (*queue).key, (*queue).count, at);
}

// Reads the V rows of the first `count` lanes of the team, and adds them to the sums with these lanes' weights. In a turn each slot reads
// UNROLL rows; a full queue takes TURNS turns. A turn is cut into PIECES, and a later piece is skipped if no lane has a row for it.
fn add_rows(acc: ptr<function, Sums>, weight: ptr<function, PerHead>, key: u32, count: u32, at: Place) {
  let team_slot = at.tl / LANES;
  let lane = at.tl % LANES;              // the same as at.lane; groups of four heads took 27% longer with that on an H200 (docs/lab/kernels.md)
  var own = key;                         // this lane's key, or with LOOKS_UP where its row begins
  if (LOOKS_UP) { own = v_row(at.batch, at.kv_head, key); }
  for (var turn = 0u; turn < TURNS; turn++) { // unroll
    var rows: Rows;
    for (var piece = 0u; piece < PIECES; piece++) { // unroll
      if (turn + piece == 0u || subgroupAny(count > (turn * UNROLL + piece * PIECE_ROWS) * TEAM_SLOTS)) {
        for (var j = 0u; j < PIECE_ROWS; j++) { // unroll
          var row = subgroupShuffle(own, at.team0 + (turn * UNROLL + piece * PIECE_ROWS + j) * TEAM_SLOTS + team_slot);
          if (!LOOKS_UP) { row = v_row(at.batch, at.kv_head, row); }
          for (var n = 0u; n < LANE_WORDS; n++) { // unroll
            rows[(piece * PIECE_ROWS + j) * LANE_WORDS + n] = values[row + min(lane + n * LANES, WORDS - 1u)];
          }
        }
      }
    }
    for (var piece = 0u; piece < PIECES; piece++) { // unroll
      if (turn + piece == 0u || subgroupAny(count > (turn * UNROLL + piece * PIECE_ROWS) * TEAM_SLOTS)) {
        for (var j = 0u; j < PIECE_ROWS; j++) { // unroll
          var of_row: PerHead;
          for (var h = 0u; h < HEADS; h++) { // unroll
            let source = at.team0 + (turn * UNROLL + piece * PIECE_ROWS + j) * TEAM_SLOTS + team_slot;
            of_row[h] = subgroupShuffle((*weight)[h], source);
          }
          for (var n = 0u; n < LANE_WORDS; n++) { // unroll
            let lo = word_lo(rows[(piece * PIECE_ROWS + j) * LANE_WORDS + n]);
            let hi = word_hi(rows[(piece * PIECE_ROWS + j) * LANE_WORDS + n]);
            for (var h = 0u; h < HEADS; h++) { // unroll
              (*acc)[(h * LANE_WORDS + n) * V4] += of_row[h] * lo;
              if (V4 == 2u) { (*acc)[(h * LANE_WORDS + n) * V4 + V4 - 1u] += of_row[h] * hi; }
            }
          }
        }
      }
    }
  }
}

// Refines: computes the scores of the lanes with `wanted` again, in f32. Each slot takes one row at a time. The queries are read again,
// because there are no registers left to hold them in f32.
fn refine(score: ptr<function, PerHead>, state: ptr<function, State>, key: u32, wanted: bool, at: Place) {
  let ballot = subgroupBallot(wanted);
  let bits = (ballot[at.team0 / 32u] >> (at.team0 % 32u)) & (0xffffffffu >> (32u - TEAM));
  let total = countOneBits(bits);
  let rank = countOneBits(bits & ((1u << at.tl) - 1u));
  for (var done = 0u; subgroupAny(done < total); done += TEAM_SLOTS) {
    let source = nth_bit(bits, min(done + at.tl / LANES, max(total, 1u) - 1u));
    let row = k_row(at.batch, at.kv_head, subgroupShuffle(key, at.team0 + source));
    let slot = rank - done;              // the slot that computes this lane's score, if `found`
    let found = wanted && rank >= done && slot < TEAM_SLOTS;
    for (var h = 0u; h < HEADS; h++) { // unroll
      var sum = 0.0;
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        let w = at.tl % LANES + n * LANES;
        if (w < WORDS) {
          let k = keys[row + w];
          let query = q[(at.head0 + h) * WORDS + w];
          sum = dot_add(word_lo(k), word_lo(query), sum);
          if (V4 == 2u) { sum = dot_add(word_hi(k), word_hi(query), sum); }
        }
      }
      let exact = subgroupShuffle(lanes_sum(vec4f(sum)).x, at.team0 + min(slot * LANES, TEAM - 1u));
      (*score)[h] = select((*score)[h], exact * (params.scale * LOG2_E) - (*state).top[h], found);
    }
  }
}
