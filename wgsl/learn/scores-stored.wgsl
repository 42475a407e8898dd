// For the dense kernel of steps that learn: scores are stored as codes (score-codes.wgsl), and the learn kernel reads them.
// Constants: HEAD_PAIRS, HEADS, NEIGHBOUR_LANES, UNROLL

// A word has the scores of two neighbouring keys, which two lanes have computed. For every two heads these lanes exchange one score each.
// Then the lane of the even key has both scores of the first head, and the lane of the odd key both of the second.
fn store_scores(p: ptr<function, PerHead>, head0: u32, heads: u32, key: u32, end: u32, lane: u32) {
  let odd = key & 1u;
  for (var i = 0u; i < HEAD_PAIRS; i++) { // unroll
    let a = (*p)[2u * i];
    let b = (*p)[min(2u * i + 1u, HEADS - 1u)];
    let other = subgroupShuffleXor(select(b, a, odd == 1u), NEIGHBOUR_LANES);
    let h = 2u * i + odd;
    if (lane < UNROLL && key - odd < end && h < heads) {
      scores[((head0 + h) * params.score_stride + key) / 2u] = score_codes(select(a, other, odd == 1u), select(other, b, odd == 1u));
    }
  }
}
