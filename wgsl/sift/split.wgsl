// What the kernels that sift in one pass have in common: where an invocation stands, what a lane holds for all heads, and how a workgroup
// writes what combine needs of its split.
// Constants: HEADS, TEAMS, HEAD_ROUNDS, TEAM_SLOTS, LANE_WORDS, V4, LANES, TEAM, SPLIT_VECS

const LN_2 = 0.6931471805599453;
const LOG2_E = 1.4426950408889634;       // after the estimate, scores and cuts are exponents of two, and weights are exp2
alias Counts = array<u32, (HEADS + 1u) / 2u>; // two heads in a word
var<workgroup> team_top: array<f32, HEADS * TEAMS>;      // State.top as a natural logarithm
var<workgroup> team_mass: array<vec4f, HEADS * TEAMS>;   // (kept mass, dropped mass, kept rows, 0)
var<workgroup> team_read: array<u32, TEAMS>;             // V rows that a team has read

// Where an invocation stands. A slot is LANES lanes that read one row side by side. A team is TEAM lanes of a subgroup.
struct Place {
  lid: u32,       // invocation within the workgroup
  batch: u32,     // sequence
  kv_head: u32,
  head0: u32,     // first query head of the group, over the batch
  slot: u32,      // slot within the workgroup
  lane: u32,      // lane within the slot
  sg_slot: u32,   // the slot's first lane within the subgroup
  tl: u32,        // lane within the team
  team0: u32,     // the team's first lane within the subgroup
}

// What a lane holds for all heads. A lane's rows are those that it has scored or queued.
struct State {
  top: PerHead,       // the log2 of what sums are relative to: the estimate, or a score far above it
  cut: PerHead,       // the head keeps a row whose score is at least this
  kept_mass: PerHead, // mass of the lane's rows that are read and serve the head
  dropped: PerHead,   // mass of its other rows
  kept: Counts,       // how many of its rows the head keeps
}

// Writes the split's softmax and output and, for the figures, its kept mass and how many rows were kept and read. The sums of teams may be
// relative to different State.top; here they become relative to the largest.
fn write_split(state: ptr<function, State>, acc: ptr<function, Sums>, rows_read: u32, at: Place, split: u32) {
  let team = at.lid / TEAM;
  for (var h = 0u; h < HEADS; h++) { // unroll
    if (at.tl == 0u) { team_top[h * TEAMS + team] = (*state).top[h] * LN_2; }
  }
  for (var r = 0u; r < HEAD_ROUNDS; r++) { // unroll
    var values: Folded;
    for (var i = 0u; i < TEAM_SLOTS; i++) { // unroll
      let h = min(r * TEAM_SLOTS + i, HEADS - 1u);
      let rows = ((*state).kept[h / 2u] >> (16u * (h % 2u))) & 0xffffu;
      values[i] = vec4f((*state).kept_mass[h], (*state).dropped[h], f32(rows), 0.0);
    }
    let total = lanes_sum(fold_slots(&values, at.tl / LANES));
    let h = r * TEAM_SLOTS + at.tl / LANES;
    if (at.lane == 0u && h < HEADS) { team_mass[h * TEAMS + team] = total; }
  }
  if (at.tl == 0u) { team_read[team] = rows_read; }
  workgroupBarrier();
  if (at.lid < HEADS) {
    var m = LOWEST;
    for (var i = 0u; i < TEAMS; i++) { m = max(m, team_top[at.lid * TEAMS + i]); }
    var total = vec4f(0.0);
    var total_read = 0u;
    for (var i = 0u; i < TEAMS; i++) {
      total += team_mass[at.lid * TEAMS + i] * vec4f(vec2f(exp(team_top[at.lid * TEAMS + i] - m)), 1.0, 1.0);
      total_read += team_read[i];
    }
    let of_head = (at.head0 + at.lid) * params.splits + split;
    split_softmax[of_head] = vec2f(m, total.x + total.y);
    split_output[of_head * SPLIT_VECS + SPLIT_VECS - 1u] = vec4f(total.x, total.z, f32(total_read), 0.0);
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    var m = LOWEST;
    for (var i = 0u; i < TEAMS; i++) { m = max(m, team_top[h * TEAMS + i]); }
    let factor = exp((*state).top[h] * LN_2 - m);
    for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
      (*acc)[h * LANE_WORDS * V4 + i] *= factor;
    }
  }
  write_sums(acc, at.lid, at.tl, at.head0, HEADS, split);
}
