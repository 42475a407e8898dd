// The order statistic by the bit patterns of the scores, four passes over them: for many equal scores.

var<workgroup> digit: u32;
var<workgroup> below: u32;               // units of the lower digits

// Floats order like their bits once the sign is folded in.
fn sortable(s: f32) -> u32 {
  let bits = bitcast<u32>(s);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
fn unsortable(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

// rank: from the lowest score. Leaves the answer.
fn radix_select(head: u32, length: u32, softmax: vec2f, by_mass: bool, first_rank: u32, lid: u32) {
  var rank = first_rank;
  var prefix = 0u;
  for (var round = 0u; round < 4u; round++) {
    let shift = 24u - 8u * round;
    clear_bins(lid);
    for (var key = lid; key < length; key += WG) {
      let s = scores[head * (params.score_stride / 4u) + key / 4u][key % 4u];
      let bits = sortable(s);
      if (round == 0u || (bits >> (shift + 8u)) == prefix) {
        var unit = 1u;
        if (by_mass) { unit = mass_unit(s, softmax); }
        atomicAdd(&bins[(bits >> shift) & 255u], unit);
      }
    }
    workgroupBarrier();
    if (lid == 0u) {
      // The digit that holds the wanted rank: the first whose running count passes it.
      var seen = 0u;
      var wanted = 255u;
      var last = 0u;                                    // last digit that occurs: the answer where rounding leaves none
      for (var i = 0u; i < 256u; i++) {
        let n = atomicLoad(&bins[i]);
        if (n > 0u) { last = i; }
        if (seen + n > rank) { wanted = i; break; }
        if (i == 255u) { wanted = last; break; }
        seen += n;
      }
      digit = wanted;
      below = seen;
    }
    workgroupBarrier();
    prefix = (prefix << 8u) | digit;
    rank -= min(rank, below);
    workgroupBarrier();
  }
  if (lid == 0u) { answer = unsortable(prefix); }
  workgroupBarrier();
}
