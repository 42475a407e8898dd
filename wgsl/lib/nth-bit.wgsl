// The place of the set bit of `word` that has `rank` set bits below it, by binary search. It gives a lane of a team whatever the rank is.
// Constants: TEAM

fn nth_bit(word: u32, rank: u32) -> u32 {
  var place = 0u;
  var left = rank;
  for (var i = 0u; i < 5u; i++) { // unroll
    let half = 16u >> i;
    let low = countOneBits((word >> place) & ((1u << half) - 1u));
    if (left >= low) {
      left -= low;
      place += half;
    }
  }
  return min(place, TEAM - 1u);
}
