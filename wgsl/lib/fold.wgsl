// Adds up over a workgroup what its lanes hold. A slot is LANES lanes that read one row side by side. A team is TEAM_SLOTS slots (at most
// 8) of one subgroup.
// First the sums are folded: the slots of a team exchange halves of their values until each slot holds the whole team's sums of some of
// them. Then the teams add theirs up in workgroup memory. At head size 64 that takes two rounds of barriers instead of eight.
//   ACC          vec4f that a lane adds up: its elements of the output of every head
//   ACC_ROUNDS   ceil(ACC / TEAM_SLOTS): a round is TEAM_SLOTS of them
// Constants: ACC, WG, TEAM_SLOTS, LANES, ACC_ROUNDS, LANE_WORDS, V4, TEAM, VECS, TEAMS, SPLIT_VECS

alias Sums = array<vec4f, ACC>;
alias Folded = array<vec4f, 8>;
var<workgroup> spill: array<vec4f, WG>;

// Folds TEAM_SLOTS values: slot s of the team gets the sum of values[s] over all slots of the team.
fn fold_slots(values: ptr<function, Folded>, team_slot: u32) -> vec4f {
  if (TEAM_SLOTS > 1u) {
    let odd = (team_slot & 1u) != 0u;
    for (var i = 0u; i < 4u; i++) { // unroll
      if (2u * i < TEAM_SLOTS) {
        let a = (*values)[2u * i];
        let b = (*values)[2u * i + 1u];
        (*values)[i] = select(a, b, odd) + subgroupShuffleXor(select(b, a, odd), LANES);
      }
    }
  }
  if (TEAM_SLOTS > 2u) {
    let odd = (team_slot & 2u) != 0u;
    for (var i = 0u; i < 2u; i++) { // unroll
      if (4u * i < TEAM_SLOTS) {
        let a = (*values)[2u * i];
        let b = (*values)[2u * i + 1u];
        (*values)[i] = select(a, b, odd) + subgroupShuffleXor(select(b, a, odd), 2u * LANES);
      }
    }
  }
  if (TEAM_SLOTS > 4u) {
    let odd = (team_slot & 4u) != 0u;
    let a = (*values)[0];
    let b = (*values)[1];
    // Chromium's compiler refuses a shuffle mask of 128 even in a branch that is never taken, hence min.
    (*values)[0] = select(a, b, odd) + subgroupShuffleXor(select(b, a, odd), min(4u * LANES, 64u));
  }
  return (*values)[0];
}

// Adds up the sums of the workgroup and writes them as the output of its split. Every invocation must call it, since it has barriers.
// tl: lane within the team. head0: the first head, over the batch.
fn write_sums(sums: ptr<function, Sums>, lid: u32, tl: u32, head0: u32, heads: u32, split: u32) {
  for (var r = 0u; r < ACC_ROUNDS; r++) { // unroll
    var values: Folded;
    for (var s = 0u; s < TEAM_SLOTS; s++) { // unroll
      values[s] = (*sums)[min(r * TEAM_SLOTS + s, ACC - 1u)];
    }
    spill[lid] = fold_slots(&values, tl / LANES);
    workgroupBarrier();
    let i = r * TEAM_SLOTS + lid / LANES;                // which of the ACC sums this invocation adds up
    let h = i / (LANE_WORDS * V4);
    let n = i / V4 % LANE_WORDS;
    let v = (lid % LANES + n * LANES) * V4 + i % V4;
    if (lid < TEAM && h < heads && v < VECS) {
      var out = spill[lid];
      for (var t = 1u; t < TEAMS; t++) { out += spill[t * TEAM + lid]; }
      split_output[((head0 + h) * params.splits + split) * SPLIT_VECS + v] = out;
    }
    workgroupBarrier();
  }
}
