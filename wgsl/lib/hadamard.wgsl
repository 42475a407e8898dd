// The Walsh-Hadamard transform of a row that is spread across the lanes of a slot, in blocks of HADAMARD elements: the largest power of two
// that divides the head size. It is not normalised: a block's sum of squares grows by HADAMARD. Applied twice it gives HADAMARD times the
// row. A row's elements are first multiplied by random signs, so that no channel lies along a row of the transform.
// Constants: LANE_WORDS, V4, LANES, HADAMARD

alias Elements = array<vec4f, LANE_WORDS * V4>;          // this lane's elements of a row, by storage words

// The sign of a channel: negative if its product with a constant has an odd number of bits (src/oracle/shadow.ts has the same).
fn channel_sign(channel: u32) -> f32 { return select(1.0, -1.0, (countOneBits(channel * 0x9E3779B1u) & 1u) == 1u); }
fn channel_signs(first: u32) -> vec4f {
  return vec4f(channel_sign(first), channel_sign(first + 1u), channel_sign(first + 2u), channel_sign(first + 3u));
}

// Every lane of the subgroup must call it.
fn hadamard(x: ptr<function, Elements>, lane: u32) {
  for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
    let a = (*x)[i];
    let b = vec4f(a.x + a.y, a.x - a.y, a.z + a.w, a.z - a.w);
    (*x)[i] = vec4f(b.x + b.z, b.y + b.w, b.x - b.z, b.y - b.w);
  }
  if (V4 == 2u && HADAMARD > 4u) {
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      let a = (*x)[n * V4];
      let b = (*x)[n * V4 + V4 - 1u];
      (*x)[n * V4] = a + b;
      (*x)[n * V4 + V4 - 1u] = a - b;
    }
  }
  if (LANES > 1u && HADAMARD > 4u * V4) { across_lanes(x, lane, 1u); }
  if (LANES > 2u && HADAMARD > 8u * V4) { across_lanes(x, lane, 2u); }
  if (LANES > 4u && HADAMARD > 16u * V4) { across_lanes(x, lane, 4u); }
  if (LANES > 8u && HADAMARD > 32u * V4) { across_lanes(x, lane, 8u); }
  if (LANES > 16u && HADAMARD > 64u * V4) { across_lanes(x, lane, 16u); }
  for (var s = 0u; s < 6u; s++) { // unroll
    if (HADAMARD > ((4u * V4 * LANES) << s)) { across_words(x, 1u << s); }
  }
}

// A stage between lanes whose numbers differ in one bit.
fn across_lanes(x: ptr<function, Elements>, lane: u32, bit: u32) {
  let second = (lane & bit) != 0u;
  for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
    let own = (*x)[i];
    let other = subgroupShuffleXor(own, bit);
    (*x)[i] = other + select(own, -own, second);
  }
}

// A stage between the storage words of a lane that lie `apart` from each other.
fn across_words(x: ptr<function, Elements>, apart: u32) {
  for (var n = 0u; n < LANE_WORDS; n++) { // unroll
    if ((n & apart) == 0u && n + apart < LANE_WORDS) {
      for (var v = 0u; v < V4; v++) { // unroll
        let a = (*x)[n * V4 + v];
        let b = (*x)[min(n + apart, LANE_WORDS - 1u) * V4 + v];
        (*x)[n * V4 + v] = a + b;
        (*x)[min(n + apart, LANE_WORDS - 1u) * V4 + v] = a - b;
      }
    }
  }
}
