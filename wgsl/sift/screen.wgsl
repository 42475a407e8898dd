// Screens K: computes the scores that decide which rows are read, in half precision. A Pair has the values of two heads of a group, so that
// there are half as many products, exchanges and registers as in rows.wgsl. With pairs-f32.wgsl a Pair is f32, for devices without
// shader-f16 and for f32 caches.
//   HEAD_PAIRS   ceil(HEADS / 2)
// Constants: HEAD_PAIRS, LANE_WORDS, V4, LANES, WORDS, UNROLL

alias Pairs = array<Pair, HEAD_PAIRS * LANE_WORDS * V4 * 4u>; // this lane's elements of the queries, by pairs of heads
alias PairScores = array<Pair, HEAD_PAIRS>;              // the scores of one key

// The power of two at or below the scale. Queries are multiplied by it, because that loses no bit of a normal number.
fn scale_power() -> f32 { return bitcast<f32>(bitcast<u32>(params.scale) & 0x7f800000u); }

// What a screened score is multiplied by: the factor of the scale that the queries do not have.
fn score_unit() -> f32 { return params.scale / scale_power(); }

// Loads this lane's elements of the queries of `heads` heads from `head0` on.
fn load_pairs(query: ptr<function, Pairs>, head0: u32, heads: u32, lane: u32) {
  let power = scale_power();
  for (var p = 0u; p < HEAD_PAIRS; p++) { // unroll
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      let w = lane + n * LANES;
      var x = Word();
      var y = Word();
      if (w < WORDS) {
        x = q[(head0 + 2u * p) * WORDS + w];
        if (2u * p + 1u < heads) { y = q[(head0 + 2u * p + 1u) * WORDS + w]; }
      }
      for (var v = 0u; v < V4; v++) { // unroll
        var a = word_lo(x) * power;
        var b = word_lo(y) * power;
        if (v == 1u) {
          a = word_hi(x) * power;
          b = word_hi(y) * power;
        }
        for (var e = 0u; e < 4u; e++) { // unroll
          (*query)[((p * LANE_WORDS + n) * V4 + v) * 4u + e] = pair_of(a[e], b[e]);
        }
      }
    }
  }
}

// The score of head h, times `unit`.
fn unpair(score: ptr<function, PairScores>, h: u32, unit: f32) -> f32 { return f32((*score)[h / 2u][h % 2u]) * unit; }

// The mask of pair_select.
fn mask_of(condition: bool) -> u32 { return select(0u, 0xffffffffu, condition); }

// As row_scores (rows.wgsl), but by pairs of heads. The scores lack the factor score_unit().
fn screen_scores(query: ptr<function, Pairs>, rows: ptr<function, Rows>, lane: u32) -> PairScores {
  var partial: array<Pair, HEAD_PAIRS * 8u>;
  for (var j = 0u; j < UNROLL; j++) { // unroll
    for (var p = 0u; p < HEAD_PAIRS; p++) { // unroll
      var sum = Pair();
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        for (var v = 0u; v < V4; v++) { // unroll
          sum = pair_dot(query, ((p * LANE_WORDS + n) * V4 + v) * 4u, (*rows)[j * LANE_WORDS + n], v, sum);
        }
      }
      partial[p * 8u + j] = sum;
    }
  }
  var score: PairScores;
  for (var p = 0u; p < HEAD_PAIRS; p++) { // unroll
    if (UNROLL > 1u) {
      let odd = 0u - (lane & 1u);
      for (var i = 0u; i < 4u; i++) { // unroll
        if (2u * i < UNROLL) {
          let a = partial[p * 8u + 2u * i];
          let b = partial[p * 8u + 2u * i + 1u];
          partial[p * 8u + i] = pair_select(a, b, odd) + pair_swap_x(pair_select(b, a, odd));
        }
      }
    }
    if (UNROLL > 2u) {
      let odd = 0u - ((lane >> 1u) & 1u);
      for (var i = 0u; i < 2u; i++) { // unroll
        if (4u * i < UNROLL) {
          let a = partial[p * 8u + 2u * i];
          let b = partial[p * 8u + 2u * i + 1u];
          partial[p * 8u + i] = pair_select(a, b, odd) + pair_swap_y(pair_select(b, a, odd));
        }
      }
    }
    var sum = partial[p * 8u];
    if (UNROLL > 4u) {
      let odd = 0u - ((lane >> 2u) & 1u);
      let b = partial[p * 8u + 1u];
      sum = pair_select(sum, b, odd) + pair_xor(pair_select(b, sum, odd), 4u);
    }
    if (LANES > 16u && UNROLL < 32u) { sum += pair_xor(sum, 16u); }
    if (LANES > 8u && UNROLL < 16u) { sum += pair_xor(sum, 8u); }
    if (LANES > 4u && UNROLL < 8u) { sum += pair_xor(sum, 4u); }
    if (LANES > 2u && UNROLL < 4u) { sum += pair_swap_y(sum); }
    if (LANES > 1u && UNROLL < 2u) { sum += pair_swap_x(sum); }
    score[p] = sum;
  }
  return score;
}
