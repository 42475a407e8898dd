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
// Constants: SLOTS, UNROLL, HEADS, SAMPLED, WG, QUERY_HEADS, GROUP, LANES, TEAM, SINK, NEWEST, SAMPLES, EDGE_SPLITS, SAMPLE_ROUNDS
// Constants: LANE_WORDS, WORDS, V4, PACK

const TILE = SLOTS * UNROLL;             // keys that the workgroup takes at a time; SAMPLE_ROUNDS tiles hold the keys of the estimate
// Cuts are relative to State.top, as the sums are, which saves operations. With pages they are absolute, because groups of seven heads took
// a tenth longer.
const CUT_RELATIVE = !LOOKS_UP;

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
    store_read(at.batch, at.kv_head, key, ((bits >> tl) & 1u) != 0u);
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
      store_read(at.batch, at.kv_head, key, ((bits >> tl) & 1u) != 0u);
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
  write_cuts(at, split.edge_count, split.sample_count, split.length);
  var scores = screen_scores(query, &first_tile, at.lane);
  workgroupBarrier();
  if (split.has_edges) { return edge_scores; }
  return scores;
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
