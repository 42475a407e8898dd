// Sums and largest values over the lanes of a slot or a team, by exchanges between lanes.
// Constants: LANES, TEAM

// The sum over the lanes of a slot.
fn lanes_sum(value: vec4f) -> vec4f {
  var sum = value;
  if (LANES > 1u) { sum += quadSwapX(sum); }
  if (LANES > 2u) { sum += quadSwapY(sum); }
  if (LANES > 4u) { sum += subgroupShuffleXor(sum, 4u); }
  if (LANES > 8u) { sum += subgroupShuffleXor(sum, 8u); }
  if (LANES > 16u) { sum += subgroupShuffleXor(sum, 16u); }
  return sum;
}

// The largest values over the lanes of a team, and their sums below. Every lane gets them.
fn team_max(value: vec2f) -> vec2f {
  var m = max(value, quadSwapX(value));
  m = max(m, quadSwapY(m));
  if (TEAM > 4u) { m = max(m, subgroupShuffleXor(m, 4u)); }
  if (TEAM > 8u) { m = max(m, subgroupShuffleXor(m, 8u)); }
  if (TEAM > 16u) { m = max(m, subgroupShuffleXor(m, 16u)); }
  return m;
}
fn team_add(value: vec2f) -> vec2f {
  var sum = value + quadSwapX(value);
  sum += quadSwapY(sum);
  if (TEAM > 4u) { sum += subgroupShuffleXor(sum, 4u); }
  if (TEAM > 8u) { sum += subgroupShuffleXor(sum, 8u); }
  if (TEAM > 16u) { sum += subgroupShuffleXor(sum, 16u); }
  return sum;
}

// The largest value over the lanes of a slot.
fn lanes_max(value: f32) -> f32 {
  var m = max(value, quadSwapX(value));
  m = max(m, quadSwapY(m));
  if (LANES > 4u) { m = max(m, subgroupShuffleXor(m, 4u)); }
  if (LANES > 8u) { m = max(m, subgroupShuffleXor(m, 8u)); }
  if (LANES > 16u) { m = max(m, subgroupShuffleXor(m, 16u)); }
  return m;
}
