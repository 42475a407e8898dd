// Sifted attention of one split (a workgroup's share of the keys) in one pass. A head keeps a row whose probability is at or above its
// threshold, and a V row that no head of the group keeps is not read. Probabilities follow from the log-normaliser, which is known only
// after all keys. So every workgroup first estimates it, from a few keys. The phases are functions:
//   estimate     estimates the log-normaliser of every head (estimate.wgsl says from which keys), and finds the head's cut: the least score
//                whose row it keeps
//   judge        decides which rows of a tile are read, and adds up the mass of the others
//   drain        reads the V rows of a full queue, and adds them to the output by their weights (queue.wgsl)
//   write_split  writes what combine needs of the split
// K is screened: scores are computed in half precision where the device has shader-f16 (screen.wgsl). When the row of a score of much
// probability is read, the score is refined: computed again in f32. The rounding of the other scores averages out (docs/quality.md).
// The edge keys are the first SINK and the NEWEST. The last EDGE_SPLITS splits have them, and the other splits share the keys between. Most
// refined scores are of edge keys, so that a split with other keys besides would take longer than every other split. Where EDGE_SPLITS is
// 0, all splits share all keys.
// Grid: (splits, KV_HEADS, batch), and one workgroup more in x where corrections are prepared (correction.wgsl).
// Buffers: lengths, q, keys, values, layer_state, split_softmax (written), split_output (written)
// Constants: SLOTS, UNROLL, HEADS, SAMPLED, TEAMS, WG, QUERY_HEADS, GROUP, LANES, TEAM, SINK, NEWEST, SAMPLES
// Constants: EDGE_SPLITS, SAMPLE_ROUNDS, LANE_WORDS, WORDS, SAMPLE_EACH, V4, HEAD_ROUNDS, TEAM_SLOTS, SPLIT_VECS, PACK

const TILE = SLOTS * UNROLL;             // keys that the workgroup takes at a time; SAMPLE_ROUNDS tiles hold the keys of the estimate
const LN_2 = 0.6931471805599453;
const LOG2_E = 1.4426950408889634;       // after the estimate, scores and cuts are exponents of two, and weights are exp2
// Cuts are relative to State.top, as the sums are, which saves operations. With pages they are absolute, because groups of seven heads took
// a tenth longer.
const CUT_RELATIVE = !LOOKS_UP;
var<workgroup> sample_score: array<f32, HEADS * SAMPLED>; // of all keys of the estimate
var<workgroup> head_norm: array<f32, HEADS>;             // the estimated log-normaliser, to base 2
var<workgroup> head_cut: array<f32, HEADS>;              // a head keeps a row whose score is at least this
var<workgroup> team_top: array<f32, HEADS * TEAMS>;      // State.top as a natural logarithm
var<workgroup> team_mass: array<vec4f, HEADS * TEAMS>;   // (kept mass, dropped mass, kept rows, 0)
var<workgroup> team_read: array<u32, TEAMS>;             // V rows that a team has read

// Where an invocation stands. A slot is LANES lanes that read one row side by side. A team is TEAM lanes of a subgroup that share a queue.
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

// A split and its keys.
struct Split {
  length: u32,       // keys of the sequence
  edge_count: u32,   // edge keys among them
  sample_count: u32, // samples of the keys between
  sharing: u32,      // how many splits share the keys between
  index: u32,        // which split this is
  has_edges: bool,   // it has edge keys
  base: u32,         // the first key of its first tile
  end: u32,          // where the shared keys end
}

// What a lane holds for all heads. A lane's rows are those that it has scored or queued.
struct State {
  top: PerHead,       // the log2 of what sums are relative to: the estimate, or a score far above it
  cut: PerHead,       // the head keeps a row whose score is at least this
  kept_mass: PerHead, // mass of the lane's rows that are read and serve the head
  dropped: PerHead,   // mass of its other rows
  kept: Counts,       // how many of its rows the head keeps
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
  @builtin(subgroup_invocation_id) sg_lane: u32,
) {
  let lane = lid % LANES;
  let tl = sg_lane % TEAM;
  let head0 = wid.z * QUERY_HEADS + wid.y * GROUP;
  let at = Place(lid, wid.z, wid.y, head0, lid / LANES, lane, sg_lane - lane, tl, sg_lane - tl);
  if (wid.x == params.splits) {
    write_corrections(head0, GROUP, at.batch, at.kv_head, lid);
    return;
  }
  let split = split_of(wid.x, u32(lengths[at.batch]) + params.length_bias);
  var query: Pairs;
  load_pairs(&query, head0, GROUP, lane);
  var next_row = 0u;                     // with LOOKS_UP: the row of the next tile whose score this lane will hold
  if (LOOKS_UP) { next_row = k_row(at.batch, at.kv_head, split.base + tile_row(at.slot, lane % UNROLL)); }
  var first_scores = estimate(at, split, &query, next_row);

  var acc: Sums;
  for (var i = 0u; i < HEADS * LANE_WORDS * V4; i++) { // unroll
    acc[i] = vec4f(0.0);
  }
  var state: State;
  for (var h = 0u; h < HEADS; h++) { // unroll
    state.top[h] = head_norm[h];
    state.cut[h] = head_cut[h];
    state.kept_mass[h] = 0.0;
    state.dropped[h] = 0.0;
    state.kept[h / 2u] = 0u;
  }
  var queue: Queue;
  let newest = select(0xffffffffu, split.length - 1u, has(params.flags, FLAG_NEWEST));
  // Of n sharing splits, each takes every n-th tile. Kept rows lie close together, and a split of neighbouring tiles could have so many
  // that it takes longer than the others.
  let stride = split.sharing * TILE;

  // The first tile cannot overfill the queue, because a tile has at most one key for each lane of a team. A split of edge keys has no other
  // tile than this, and the estimate has computed its scores.
  {
    var key = split.base + tile_row(at.slot, lane % UNROLL);
    var valid = key < split.end;
    if (split.has_edges) {
      let i = (split.index - split.sharing) * TILE + tile_row(at.slot, lane % UNROLL);
      key = sample_key(i, split.edge_count, split.sample_count, split.length);
      valid = i < split.edge_count;
    }
    let bits = judge(&first_scores, &state, valid && lane < UNROLL, key == newest, at.team0);
    queue.count = countOneBits(bits);
    enqueue(&queue, key, &first_scores, at.team0 + nth_bit(bits, tl), tl < queue.count);
  }
  var rows_read = queue.count;
  if (LOOKS_UP) { next_row = k_row(at.batch, at.kv_head, split.base + stride + tile_row(at.slot, lane % UNROLL)); }
  // There is one turn more than there are tiles. It drains what is left in the queue.
  for (var base = split.base + stride; base < split.end + stride; base += stride) {
    let last = base >= split.end;
    var rows: Rows;
    var score: PairScores;
    let key = base + tile_row(at.slot, lane % UNROLL);
    var bits = 0u;
    var found = 0u;
    if (!last) {
      load_tile(&rows, at, base, next_row);
      if (LOOKS_UP) { next_row = k_row(at.batch, at.kv_head, base + stride + tile_row(at.slot, lane % UNROLL)); }
      score = screen_scores(&query, &rows, lane);
      bits = judge(&score, &state, key < split.end && lane < UNROLL, EDGE_SPLITS == 0u && key == newest, at.team0);
      found = countOneBits(bits);
    }
    if (subgroupAny(bits != 0u || (last && queue.count > 0u))) {
      rows_read += found;
      let after = queue.count + found;
      let fill = tl >= queue.count && tl < after;
      enqueue(&queue, key, &score, at.team0 + nth_bit(bits, tl - queue.count), fill);
      queue.count = after;
      if (subgroupAny(queue.count >= TEAM || last)) {
        drain(&queue, &state, &acc, newest, at);
        // The rows that did not fit begin the next queue.
        let left = max(queue.count, TEAM) - TEAM;
        enqueue(&queue, key, &score, at.team0 + nth_bit(bits, tl + found - left), tl < left);
        queue.count = left;
      }
    }
  }
  write_split(&state, &acc, rows_read, at, wid.x);
}

// The keys of split `index`. Where the edge keys have splits of their own, the shared keys are those between; otherwise they are all keys.
fn split_of(index: u32, length: u32) -> Split {
  let edge_count = min(SINK + NEWEST, length);
  let sample_count = min(SAMPLES, length - edge_count);
  let sharing = params.splits - EDGE_SPLITS;
  let has_edges = EDGE_SPLITS > 0u && index >= sharing;
  var first = 0u;
  var end = length;
  if (EDGE_SPLITS > 0u) {
    first = SINK;
    end = SINK + length - edge_count;
  }
  let base = select(first + index * TILE, end - 1u, has_edges);
  return Split(length, edge_count, sample_count, sharing, index, has_edges, base, end);
}

// Estimates the log-normaliser of every head, and puts it and the head's cut into workgroup memory. Every workgroup of a KV head estimates
// the same, because a dispatch for it would cost more. The K rows of the split's first tile are loaded meanwhile; returns their scores.
fn estimate(at: Place, split: Split, query: ptr<function, Pairs>, next_row: u32) -> PairScores {
  let count = split.edge_count + split.sample_count;
  var edge_scores: PairScores;
  var first_tile: Rows;
  for (var r = 0u; r < SAMPLE_ROUNDS; r++) { // unroll
    var rows: Rows;
    for (var j = 0u; j < UNROLL; j++) { // unroll
      let i = min(r * TILE + tile_row(at.slot, j), count - 1u);
      let row = k_row(at.batch, at.kv_head, sample_key(i, split.edge_count, split.sample_count, split.length));
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        rows[j * LANE_WORDS + n] = keys[row + min(at.lane + n * LANES, WORDS - 1u)];
      }
    }
    if (r == SAMPLE_ROUNDS - 1u) { load_tile(&first_tile, at, split.base, next_row); }
    var score = screen_scores(query, &rows, at.lane);
    if (split.has_edges && r == split.index - split.sharing) { edge_scores = score; }
    let i = r * TILE + tile_row(at.slot, at.lane % UNROLL);
    if (at.lane < UNROLL && i < count) {
      for (var h = 0u; h < HEADS; h++) { // unroll
        sample_score[h * SAMPLED + i] = unpair(&score, h, score_unit());
      }
    }
  }
  workgroupBarrier();
  for (var h = at.lid / TEAM; h < HEADS; h += TEAMS) {
    let norm = log_normaliser(h, split, at.tl);
    let eta = head_threshold(at.head0 + h, split.length);
    if (at.tl == 0u) {
      let finite = abs(norm) < 1e30;     // a screened score may have overflowed: then every row is read
      head_norm[h] = select(0.0, norm * LOG2_E, finite);
      head_cut[h] = LOWEST;
      if (finite && eta > LOWEST) { head_cut[h] = (select(norm, 0.0, CUT_RELATIVE) + eta) * LOG2_E; }
    }
  }
  var scores = screen_scores(query, &first_tile, at.lane);
  workgroupBarrier();
  if (split.has_edges) { return edge_scores; }
  return scores;
}

// The estimated log-normaliser of a head. The lanes of a team compute it together.
fn log_normaliser(h: u32, split: Split, tl: u32) -> f32 {
  var score: array<f32, SAMPLE_EACH>;
  var top = vec2f(LOWEST);               // largest score of the edge keys (x) and of the samples (y)
  for (var j = 0u; j < SAMPLE_EACH; j++) { // unroll
    let i = j * TEAM + tl;
    score[j] = select(LOWEST, sample_score[h * SAMPLED + i], i < split.edge_count + split.sample_count);
    top = max(top, select(vec2f(LOWEST, score[j]), vec2f(score[j], LOWEST), i < split.edge_count));
  }
  top = team_max(top);
  var sum = vec2f(0.0);
  for (var j = 0u; j < SAMPLE_EACH; j++) { // unroll
    let i = j * TEAM + tl;
    let counts = i < split.edge_count + split.sample_count;
    let e = select(0.0, exp(score[j] - select(top.y, top.x, i < split.edge_count)), counts);
    sum += select(vec2f(0.0, e), vec2f(e, 0.0), i < split.edge_count);
  }
  sum = team_add(sum);
  let edges = vec2f(top.x, sum.x);       // softmax (maximum, sum)
  let samples = vec2f(top.y, sum.y);
  let whole = extrapolate(edges, samples, split.edge_count, split.sample_count, split.length);
  return whole.x + log(whole.y);
}

// Starts reading the K rows of the tile at `base`. Some may lie beyond the last key; their scores are not used. looked_up: with LOOKS_UP,
// where the row begins whose score this lane will hold.
fn load_tile(rows: ptr<function, Rows>, at: Place, base: u32, looked_up: u32) {
  for (var j = 0u; j < UNROLL; j++) { // unroll
    var row = 0u;
    if (LOOKS_UP) { row = subgroupShuffle(looked_up, at.sg_slot + j); } else {
      row = k_row(at.batch, at.kv_head, base + tile_row(at.slot, 0u)) + j * PACK * WORDS;
    }
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      (*rows)[j * LANE_WORDS + n] = keys[row + min(at.lane + n * LANES, WORDS - 1u)];
    }
  }
}

// Decides which rows of a tile the team reads. The result has a bit for each of its lanes. The mass of the other rows is added to
// State.dropped. Comparisons are negated so that a score that is not a number, by overflow, has its row read.
fn judge(score: ptr<function, PairScores>, state: ptr<function, State>, valid: bool, is_newest: bool, team0: u32) -> u32 {
  let unit = score_unit() * LOG2_E;
  var reads = is_newest;
  var relative: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    if (CUT_RELATIVE) {
      relative[h] = unpair(score, h, unit) - (*state).top[h];
      reads = reads || !(relative[h] < (*state).cut[h]);
    } else {
      reads = reads || !(unpair(score, h, unit) < (*state).cut[h]);
    }
  }
  reads = reads && valid;
  for (var h = 0u; h < HEADS; h++) { // unroll
    if (!CUT_RELATIVE) { relative[h] = unpair(score, h, unit) - (*state).top[h]; }
    (*state).dropped[h] += select(0.0, exp2(relative[h]), valid && !reads);
  }
  let ballot = subgroupBallot(reads);
  return (ballot[team0 / 32u] >> (team0 % 32u)) & (0xffffffffu >> (32u - TEAM));
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
