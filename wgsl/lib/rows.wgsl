// Reads K rows that are spread across lanes, and computes their scores. LANES neighbouring lanes (a slot) read one row side by side,
// LANE_WORDS storage words each, so that loads are coalesced. A slot asks for UNROLL rows before it waits for one, so that many loads are
// in flight. This needs subgroups of at least LANES whose invocations are consecutive; the self-test checks that.
//   UNROLL   rows that a slot reads at a time: a power of two, at most LANES and 8
//   SLOTS    slots of the workgroup
//   PACK     slots of a subgroup of 32; the rows that they read at the same time are neighbours, and so one piece of memory
// Constants: PACK, UNROLL, LANE_WORDS, HEADS, V4, LANES, WORDS

// The place of a slot's row j within a tile of SLOTS * UNROLL keys.
fn tile_row(slot: u32, j: u32) -> u32 { return ((slot / PACK) * UNROLL + j) * PACK + slot % PACK; }

alias Rows = array<Word, UNROLL * LANE_WORDS>;
alias Query = array<vec4f, HEADS * LANE_WORDS * V4>;
alias PerHead = array<f32, HEADS>;

fn dot_add(a: vec4f, b: vec4f, c: f32) -> f32 { return a.w * b.w + (a.z * b.z + (a.y * b.y + (a.x * b.x + c))); }

// Loads this lane's elements of the queries of `heads` heads from `head0` on, and multiplies them by the scale.
fn load_query(query: ptr<function, Query>, head0: u32, heads: u32, lane: u32) {
  for (var h = 0u; h < HEADS; h++) { // unroll
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      let w = lane + n * LANES;
      var lo = vec4f(0.0);
      var hi = vec4f(0.0);
      if (h < heads && w < WORDS) {
        let word = q[(head0 + h) * WORDS + w];
        lo = word_lo(word) * params.scale;
        hi = word_hi(word) * params.scale;
      }
      (*query)[(h * LANE_WORDS + n) * V4] = lo;
      if (V4 == 2u) { (*query)[(h * LANE_WORDS + n) * V4 + V4 - 1u] = hi; }
    }
  }
}

// Starts reading the K rows of the tile at `base`. A slot whose key lies beyond `last` reads the row of `last` instead.
// A KV layout with LOOKS_UP finds rows by reading memory. There each lane looks up the one row whose score it will hold, and tells the
// slot. sg_slot: the slot's first lane within the subgroup.
fn load_keys(rows: ptr<function, Rows>, batch: u32, kv_head: u32, base: u32, last: u32, slot: u32, lane: u32, sg_slot: u32) {
  var found = 0u;
  if (LOOKS_UP) { found = k_row(batch, kv_head, min(base + tile_row(slot, lane % UNROLL), last)); }
  for (var j = 0u; j < UNROLL; j++) { // unroll
    var row = 0u;
    if (LOOKS_UP) { row = subgroupShuffle(found, sg_slot + j); } else { row = k_row(batch, kv_head, min(base + tile_row(slot, j), last)); }
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      (*rows)[j * LANE_WORDS + n] = keys[row + min(lane + n * LANES, WORDS - 1u)];
    }
  }
}

// Computes the scores of the slot's rows. Every lane gets, for each head, the score of row (lane % UNROLL).
// A lane first has a partial sum for each of the UNROLL rows and each head. In each of log2(UNROLL) exchanges it gives half of its partial
// sums to another lane, and adds what it receives to the half that it keeps, until one sum for each head is left. Where UNROLL is less than
// LANES, further exchanges add up the lanes that have the same row.
// The first exchanges move the most values. They stay within quads, because a browser guards every subgroupShuffleXor against lanes that do
// not exist, and need not guard quadSwap.
fn row_scores(query: ptr<function, Query>, rows: ptr<function, Rows>, lane: u32) -> PerHead {
  var partial: array<f32, HEADS * 8u>;
  for (var j = 0u; j < UNROLL; j++) { // unroll
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      let lo = word_lo((*rows)[j * LANE_WORDS + n]);
      let hi = word_hi((*rows)[j * LANE_WORDS + n]);
      for (var h = 0u; h < HEADS; h++) { // unroll
        var sum = 0.0;
        if (n > 0u) { sum = partial[h * 8u + j]; }
        sum = dot_add(lo, (*query)[(h * LANE_WORDS + n) * V4], sum);
        if (V4 == 2u) { sum = dot_add(hi, (*query)[(h * LANE_WORDS + n) * V4 + V4 - 1u], sum); }
        partial[h * 8u + j] = sum;
      }
    }
  }
  var score: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    if (UNROLL > 1u) {
      let odd = (lane & 1u) != 0u;
      for (var i = 0u; i < 4u; i++) { // unroll
        if (2u * i < UNROLL) {
          let a = partial[h * 8u + 2u * i];
          let b = partial[h * 8u + 2u * i + 1u];
          partial[h * 8u + i] = select(a, b, odd) + quadSwapX(select(b, a, odd));
        }
      }
    }
    if (UNROLL > 2u) {
      let odd = (lane & 2u) != 0u;
      for (var i = 0u; i < 2u; i++) { // unroll
        if (4u * i < UNROLL) {
          let a = partial[h * 8u + 2u * i];
          let b = partial[h * 8u + 2u * i + 1u];
          partial[h * 8u + i] = select(a, b, odd) + quadSwapY(select(b, a, odd));
        }
      }
    }
    var sum = partial[h * 8u];
    if (UNROLL > 4u) {
      let odd = (lane & 4u) != 0u;
      let b = partial[h * 8u + 1u];
      sum = select(sum, b, odd) + subgroupShuffleXor(select(b, sum, odd), 4u);
    }
    if (LANES > 16u && UNROLL < 32u) { sum += subgroupShuffleXor(sum, 16u); }
    if (LANES > 8u && UNROLL < 16u) { sum += subgroupShuffleXor(sum, 8u); }
    if (LANES > 4u && UNROLL < 8u) { sum += subgroupShuffleXor(sum, 4u); }
    if (LANES > 2u && UNROLL < 4u) { sum += quadSwapY(sum); }
    if (LANES > 1u && UNROLL < 2u) { sum += quadSwapX(sum); }
    score[h] = sum;
  }
  return score;
}

// The largest of the values that the lanes of a slot have for its UNROLL rows. Every lane gets it.
fn slot_max(value: f32) -> f32 {
  var m = value;
  if (UNROLL > 1u) { m = max(m, subgroupShuffleXor(m, 1u)); }
  if (UNROLL > 2u) { m = max(m, subgroupShuffleXor(m, 2u)); }
  if (UNROLL > 4u) { m = max(m, subgroupShuffleXor(m, 4u)); }
  return m;
}

// The sum of the values that the lanes of a slot have for its UNROLL rows. Every lane gets it.
fn slot_sum(value: f32) -> f32 {
  var sum = value;
  if (UNROLL > 1u) { sum += subgroupShuffleXor(sum, 1u); }
  if (UNROLL > 2u) { sum += subgroupShuffleXor(sum, 2u); }
  if (UNROLL > 4u) { sum += subgroupShuffleXor(sum, 4u); }
  return sum;
}
