// The queue of a team: rows of V to be read, one a lane. Scores are exponents of two, relative to `top` but for those in the queue.
// Constants: HEADS, HEAD_PAIRS, LANES, REFINES, LANE_WORDS, V4, TURNS, PIECES, UNROLL, PIECE_ROWS, TEAM_SLOTS, WORDS
// Constants: QUERY_HEADS, GROUP, TEAM

const LOG2_E = 1.4426950408889634;
const LOG2_MUCH = -7.0;                                  // much probability
const LOG2_FAR = 32.0;                                   // sums relative to something this much smaller are still exact
alias Counts = array<u32, (HEADS + 1u) / 2u>;            // two heads a word

// Lanes that `fill` take the key and the scores of lane `source` into the queue.
fn enqueue(
  queued: ptr<function, u32>, queued_score: ptr<function, PairScores>, key: u32, score: ptr<function, PairScores>,
  source: u32, fill: bool,
) {
  *queued = select(*queued, subgroupShuffle(key, source), fill);
  for (var p = 0u; p < HEAD_PAIRS; p++) { // unroll
    (*queued_score)[p] = pair_select((*queued_score)[p], pair_shuffle((*score)[p], source), mask_of(fill));
  }
}

// Adds the V rows of the team's queue, one a lane of which the first `count` count, to the sums.
fn read_rows(
  acc: ptr<function, Sums>, top: ptr<function, PerHead>, cut: ptr<function, PerHead>, kept_mass: ptr<function, PerHead>,
  dropped: ptr<function, PerHead>, kept: ptr<function, Counts>, queued: u32, queued_score: ptr<function, PairScores>, count: u32,
  newest: u32, share: bool, batch: u32, kv_head: u32, team0: u32, tl: u32,
) {
  let team_slot = tl / LANES;
  let lane = tl % LANES;
  let valid = tl < count;
  let unit = score_unit() * LOG2_E;
  var score: PerHead;
  var much = false;                                      // rare, and so is what follows from it
  for (var h = 0u; h < HEADS; h++) { // unroll
    score[h] = unpair(queued_score, h, unit) - (*top)[h];
    much = much || (valid && !(score[h] < LOG2_MUCH));
  }
  var grows = false;
  if (subgroupAny(much)) {
    if (REFINES) { refine(&score, top, queued, much, batch, kv_head, team0, tl); }
    for (var h = 0u; h < HEADS; h++) { // unroll
      grows = grows || (valid && score[h] > LOG2_FAR);
    }
  }
  // The estimate knew nothing of such a score.
  if (subgroupAny(grows)) {
    for (var h = 0u; h < HEADS; h++) { // unroll
      let by = team_max(vec2f(select(0.0, max(score[h], 0.0), valid))).x;
      let factor = exp2(-by);
      (*top)[h] += by;
      if (CUT_RELATIVE) { (*cut)[h] -= by; }
      score[h] -= by;
      (*kept_mass)[h] *= factor;
      (*dropped)[h] *= factor;
      for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
        (*acc)[h * LANE_WORDS * V4 + i] *= factor;
      }
    }
  }
  var weight: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    let e = select(0.0, exp2(score[h]), valid);
    var least = (*cut)[h];
    if (!CUT_RELATIVE) { least -= (*top)[h]; }
    let keeps = valid && (queued == newest || score[h] >= least);
    weight[h] = select(0.0, e, keeps || share);
    (*kept_mass)[h] += weight[h];
    (*dropped)[h] += e - weight[h];
    (*kept)[h / 2u] += u32(keeps) << (16u * (h % 2u));
  }
  for (var turn = 0u; turn < TURNS; turn++) { // unroll
    // The later parts of the lanes may have no row.
    var rows: Rows;
    var own = queued;                                    // the lane's key, or where its row begins
    if (LOOKS_UP) { own = v_row(batch, kv_head, queued); }
    for (var piece = 0u; piece < PIECES; piece++) { // unroll
      if (turn + piece == 0u || subgroupAny(count > (turn * UNROLL + piece * PIECE_ROWS) * TEAM_SLOTS)) {
        for (var j = 0u; j < PIECE_ROWS; j++) { // unroll
          var row = subgroupShuffle(own, team0 + (turn * UNROLL + piece * PIECE_ROWS + j) * TEAM_SLOTS + team_slot);
          if (!LOOKS_UP) { row = v_row(batch, kv_head, row); }
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
            of_row[h] = subgroupShuffle(weight[h], team0 + (turn * UNROLL + piece * PIECE_ROWS + j) * TEAM_SLOTS + team_slot);
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

// Computes the scores of the rows whose lanes want it again, in f32: a row a slot at a time. Reads the queries again, for want of
// registers.
fn refine(
  score: ptr<function, PerHead>, top: ptr<function, PerHead>, queued: u32, wanted: bool, batch: u32, kv_head: u32, team0: u32, tl: u32,
) {
  let lane = tl % LANES;
  let head0 = batch * QUERY_HEADS + kv_head * GROUP;
  let ballot = subgroupBallot(wanted);
  let bits = (ballot[team0 / 32u] >> (team0 % 32u)) & (0xffffffffu >> (32u - TEAM));
  let total = countOneBits(bits);
  let rank = countOneBits(bits & ((1u << tl) - 1u));
  for (var done = 0u; subgroupAny(done < total); done += TEAM_SLOTS) {
    let row = k_row(batch, kv_head, subgroupShuffle(queued, team0 + nth_bit(bits, min(done + tl / LANES, max(total, 1u) - 1u))));
    let slot = rank - done;                              // the slot that has this lane's row, if one has
    let found = wanted && rank >= done && slot < TEAM_SLOTS;
    for (var h = 0u; h < HEADS; h++) { // unroll
      var sum = 0.0;
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        let w = lane + n * LANES;
        if (w < WORDS) {
          let k = keys[row + w];
          let query = q[(head0 + h) * WORDS + w];
          sum = dot_add(word_lo(k), word_lo(query), sum);
          if (V4 == 2u) { sum = dot_add(word_hi(k), word_hi(query), sum); }
        }
      }
      let exact = subgroupShuffle(lanes_sum(vec4f(sum)).x, team0 + min(slot * LANES, TEAM - 1u)) * (params.scale * LOG2_E);
      (*score)[h] = select((*score)[h], exact - (*top)[h], found);
    }
  }
}
