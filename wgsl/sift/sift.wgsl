// Sifted attention of one split in one pass over its keys. A V row is read only if its probability is at or above the threshold, judged by
// an estimate of the log-normaliser that every workgroup makes first. The phases, each a function:
//   estimate   the normaliser and the thresholds of all heads (estimate.wgsl has which keys it takes)
//   judge      a tile of keys: which rows are read; the mass of the others is added up
//   drain      a full queue of rows: their V rows are read and weighted (queue.wgsl)
//   write_split what the split leaves for combine
// K is screened in half precision (screen.wgsl). Scores of much probability are computed again in f32 when their rows are read; the rounding
// of the others averages out (docs/quality.md).
// The last EDGE_SPLITS splits have the edge keys (the first SINK and the NEWEST), the others share those between: most scores that are
// computed again are of edge keys, and a split that had a share of the others besides would take longer than all the rest.
// Grid: (splits, KV_HEADS, batch); a workgroup more in x where corrections are prepared (correction.wgsl).
// Buffers: lengths, q, keys, values, layer_state, split_softmax (written), split_output (written)
// Constants: SLOTS, UNROLL, HEADS, SAMPLED, TEAMS, WG, QUERY_HEADS, GROUP, LANES, TEAM, SINK, NEWEST, SAMPLES
// Constants: EDGE_SPLITS, SAMPLE_ROUNDS, LANE_WORDS, WORDS, SAMPLE_EACH, V4, HEAD_ROUNDS, TEAM_SLOTS, SPLIT_VECS, PACK

const TILE = SLOTS * UNROLL;             // keys of a tile; SAMPLE_ROUNDS tiles hold the estimate's
const LN_2 = 0.6931471805599453;
const LOG2_E = 1.4426950408889634;       // scores are exponents of two from the estimate on
// Thresholds are relative to what sums are relative to, which saves operations. Not with pages: groups of seven heads took a tenth longer.
const CUT_RELATIVE = !LOOKS_UP;
var<workgroup> sample_score: array<f32, HEADS * SAMPLED>;
var<workgroup> head_norm: array<f32, HEADS>;             // the estimated log-normaliser
var<workgroup> head_cut: array<f32, HEADS>;              // a row is kept if its score is at least that
var<workgroup> team_top: array<f32, HEADS * TEAMS>;      // natural logarithms
var<workgroup> team_mass: array<vec4f, HEADS * TEAMS>;   // (kept mass, dropped mass, kept rows, 0)
var<workgroup> team_read: array<u32, TEAMS>;

// Where an invocation stands.
struct Place {
  lid: u32,
  batch: u32,
  kv_head: u32,
  head0: u32,     // first query head of the group, over the batch
  slot: u32,      // slot within the workgroup, lane within the slot
  lane: u32,
  sg_slot: u32,   // the slot's first lane within the subgroup
  tl: u32,        // lane within the team, and the team's first lane within the subgroup
  team0: u32,
}

// The keys of a split.
struct SplitKeys {
  length: u32,    // of the sequence
  edge: u32,      // edge keys, and samples of those between
  sampled: u32,
  spread: u32,    // splits that share the keys between
  split: u32,
  has_edges: bool, // this split has the edge keys
  base: u32,      // where its first tile begins
  end: u32,       // where the keys of its kind end
}

// What a lane keeps, for all heads.
struct State {
  top: PerHead,       // what sums are relative to: the estimate, or a score far above it
  cut: PerHead,       // a row is kept if its score is at least that
  kept_mass: PerHead, // of the rows in this lane's turns of the queue that count for the head
  dropped: PerHead,   // mass of all other rows in this lane
  kept: Counts,       // rows that the head keeps
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
  let keys_of = split_keys(wid.x, u32(lengths[at.batch]) + params.length_bias);
  var query: Pairs;
  load_pairs(&query, head0, GROUP, lane);
  var ahead = 0u;                        // where the row of the next tile that this lane scores begins, if it is looked up
  if (LOOKS_UP) { ahead = k_row(at.batch, at.kv_head, keys_of.base + tile_row(at.slot, lane % UNROLL)); }
  var first_scores = estimate(at, keys_of, &query, ahead);

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
  let newest = select(0xffffffffu, keys_of.length - 1u, has(params.flags, FLAG_NEWEST));
  // Every spread-th tile: rows that are read lie close together, and a split with many would take longer than the others.
  let stride = keys_of.spread * TILE;

  // The first tile only fills the queue.
  {
    var key = keys_of.base + tile_row(at.slot, lane % UNROLL);
    var valid = key < keys_of.end;
    if (keys_of.has_edges) {
      let i = (keys_of.split - keys_of.spread) * TILE + tile_row(at.slot, lane % UNROLL);
      key = sample_key(i, keys_of.edge, keys_of.sampled, keys_of.length);
      valid = i < keys_of.edge;
    }
    let bits = judge(&first_scores, &state, valid && lane < UNROLL, key == newest, at.team0);
    queue.count = countOneBits(bits);
    enqueue(&queue, key, &first_scores, at.team0 + nth_bit(bits, tl), tl < queue.count);
  }
  var rows_read = queue.count;
  if (LOOKS_UP) { ahead = k_row(at.batch, at.kv_head, keys_of.base + stride + tile_row(at.slot, lane % UNROLL)); }
  // A turn more than there are tiles, for what is left in the queue.
  for (var base = keys_of.base + stride; base < keys_of.end + stride; base += stride) {
    let last = base >= keys_of.end;
    var rows: Rows;
    var score: PairScores;
    let key = base + tile_row(at.slot, lane % UNROLL);
    var bits = 0u;
    var found = 0u;
    if (!last) {
      load_tile(&rows, at, base, ahead);
      if (LOOKS_UP) { ahead = k_row(at.batch, at.kv_head, base + stride + tile_row(at.slot, lane % UNROLL)); }
      score = screen_scores(&query, &rows, lane);
      bits = judge(&score, &state, key < keys_of.end && lane < UNROLL, EDGE_SPLITS == 0u && key == newest, at.team0);
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
        // What did not fit begins the next queue.
        let left = max(queue.count, TEAM) - TEAM;
        enqueue(&queue, key, &score, at.team0 + nth_bit(bits, tl + found - left), tl < left);
        queue.count = left;
      }
    }
  }
  write_split(&state, &acc, rows_read, at, wid.x);
}

fn split_keys(split: u32, length: u32) -> SplitKeys {
  let edge = min(SINK + NEWEST, length);
  let sampled = min(SAMPLES, length - edge);
  let spread = params.splits - EDGE_SPLITS;
  let has_edges = EDGE_SPLITS > 0u && split >= spread;
  var first = 0u;
  var end = length;
  if (EDGE_SPLITS > 0u) {
    first = SINK;
    end = SINK + length - edge;
  }
  let base = select(first + split * TILE, end - 1u, has_edges);
  return SplitKeys(length, edge, sampled, spread, split, has_edges, base, end);
}

// Estimates the log-normaliser of every head, and puts it and the threshold into workgroup memory. Every workgroup does so again, which is
// cheaper than a dispatch. Returns the scores of the split's first tile, which is on its way meanwhile.
fn estimate(at: Place, keys_of: SplitKeys, query: ptr<function, Pairs>, ahead: u32) -> PairScores {
  let count = keys_of.edge + keys_of.sampled;
  var edge_scores: PairScores;
  var first_tile: Rows;
  for (var r = 0u; r < SAMPLE_ROUNDS; r++) { // unroll
    var rows: Rows;
    for (var j = 0u; j < UNROLL; j++) { // unroll
      let i = min(r * TILE + tile_row(at.slot, j), count - 1u);
      let row = k_row(at.batch, at.kv_head, sample_key(i, keys_of.edge, keys_of.sampled, keys_of.length));
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        rows[j * LANE_WORDS + n] = keys[row + min(at.lane + n * LANES, WORDS - 1u)];
      }
    }
    if (r == SAMPLE_ROUNDS - 1u) { load_tile(&first_tile, at, keys_of.base, ahead); }
    var score = screen_scores(query, &rows, at.lane);
    if (keys_of.has_edges && r == keys_of.split - keys_of.spread) { edge_scores = score; }
    let i = r * TILE + tile_row(at.slot, at.lane % UNROLL);
    if (at.lane < UNROLL && i < count) {
      for (var h = 0u; h < HEADS; h++) { // unroll
        sample_score[h * SAMPLED + i] = unpair(&score, h, score_unit());
      }
    }
  }
  workgroupBarrier();
  for (var h = at.lid / TEAM; h < HEADS; h += TEAMS) {
    let norm = log_normaliser(h, keys_of, at.tl);
    let eta = head_threshold(at.head0 + h, keys_of.length);
    if (at.tl == 0u) {
      let finite = abs(norm) < 1e30;     // not where a screened score overflowed: every row is read then
      head_norm[h] = select(0.0, norm * LOG2_E, finite);
      head_cut[h] = LOWEST;
      if (finite && eta > LOWEST) { head_cut[h] = (select(norm, 0.0, CUT_RELATIVE) + eta) * LOG2_E; }
    }
  }
  var scores = screen_scores(query, &first_tile, at.lane);
  workgroupBarrier();
  if (keys_of.has_edges) { return edge_scores; }
  return scores;
}

// The estimated log-normaliser of a head, by a team.
fn log_normaliser(h: u32, keys_of: SplitKeys, tl: u32) -> f32 {
  var score: array<f32, SAMPLE_EACH>;
  var top = vec2f(LOWEST);               // of the edge keys (x) and of the samples (y)
  for (var j = 0u; j < SAMPLE_EACH; j++) { // unroll
    let i = j * TEAM + tl;
    score[j] = select(LOWEST, sample_score[h * SAMPLED + i], i < keys_of.edge + keys_of.sampled);
    top = max(top, select(vec2f(LOWEST, score[j]), vec2f(score[j], LOWEST), i < keys_of.edge));
  }
  top = team_max(top);
  var sum = vec2f(0.0);
  for (var j = 0u; j < SAMPLE_EACH; j++) { // unroll
    let i = j * TEAM + tl;
    let counts = i < keys_of.edge + keys_of.sampled;
    let e = select(0.0, exp(score[j] - select(top.y, top.x, i < keys_of.edge)), counts);
    sum += select(vec2f(0.0, e), vec2f(e, 0.0), i < keys_of.edge);
  }
  sum = team_add(sum);
  let near = vec2f(top.x, sum.x);        // softmax (max, sum)
  let far = vec2f(top.y, sum.y);
  let whole = extrapolate(near, far, keys_of.edge, keys_of.sampled, keys_of.length);
  return whole.x + log(whole.y);
}

// Starts reading the K rows of the tile at `base`; some may lie behind the last key. found: where each lane's row begins, if it is looked up.
fn load_tile(rows: ptr<function, Rows>, at: Place, base: u32, found: u32) {
  for (var j = 0u; j < UNROLL; j++) { // unroll
    var row = 0u;
    if (LOOKS_UP) { row = subgroupShuffle(found, at.sg_slot + j); } else {
      row = k_row(at.batch, at.kv_head, base + tile_row(at.slot, 0u)) + j * PACK * WORDS;
    }
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      (*rows)[j * LANE_WORDS + n] = keys[row + min(at.lane + n * LANES, WORDS - 1u)];
    }
  }
}

// Which keys of a tile the team reads, a bit for each lane. The mass of the others is added to what is dropped.
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

// Leaves what the split's sums are relative to, the sum of its softmax and its output, and what was kept.
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
