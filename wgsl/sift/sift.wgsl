// Sifted attention of one split in one pass: as flash.wgsl, but only V rows are read whose probability is at or above the
// threshold, by an estimate of the log-normaliser that is there before the pass over K (sample.wgsl).
// K is screened in half precision (screen.wgsl). A team of TEAM lanes queues the rows to be read, one a lane, and reads them when every
// lane has one: the loads of V are as many and as wide as the dense kernel's, however few rows are kept. Scores of rows of much
// probability are then computed again, in f32; the rounding of the others averages out (docs/kernel.md).
// Leaves what the split's sums are relative to, the sum of its softmax and its output, and what was kept.
// The last EDGE_SPLITS splits have the first SINK and the NEWEST keys, the others those between: most scores that are computed again are of
// the known keys, and a split that had a share of all others besides would be waited for.
// Grid: (splits, KV_HEADS, batch); (splits + 1, ..) where something stands for what is not read (rest.wgsl).
// Buffers: lengths, q, keys, values, layer_state, split_softmax (written), split_output (written)
// Constants: SLOTS, UNROLL, HEADS, SAMPLED, TEAMS, WG, QUERY_HEADS, GROUP, LANES, TEAM, SINK, NEWEST, SAMPLES
// Constants: EDGE_SPLITS, SAMPLE_ROUNDS, LANE_WORDS, WORDS, SAMPLE_EACH, V4, HEAD_ROUNDS, TEAM_SLOTS, SPLIT_VECS, PACK

const TILE = SLOTS * UNROLL;                             // keys of a batch; SAMPLE_ROUNDS of them hold the sample
const LN_2 = 0.6931471805599453;
// Thresholds are relative to what sums are, which saves operations; not with pages, where groups of seven heads took a tenth longer so.
const CUT_RELATIVE = !LOOKS_UP;
var<workgroup> sample_score: array<f32, HEADS * SAMPLED>;
var<workgroup> head_norm: array<f32, HEADS>;             // the estimated normaliser, an exponent of two as all scores after it
var<workgroup> head_cut: array<f32, HEADS>;              // keep if the score is at least that
var<workgroup> team_top: array<f32, HEADS * TEAMS>;      // natural logarithms
var<workgroup> team_mass: array<vec4f, HEADS * TEAMS>;   // (mass of what counts, of all others, kept rows, 0)
var<workgroup> team_read: array<u32, TEAMS>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
  @builtin(subgroup_invocation_id) sg_lane: u32,
) {
  let batch = wid.z;
  let kv_head = wid.y;
  let head0 = batch * QUERY_HEADS + kv_head * GROUP;
  let slot = lid / LANES;
  let lane = lid % LANES;
  let tl = sg_lane % TEAM;                               // lane within the team, and the team's first lane within the subgroup
  let team0 = sg_lane - tl;
  if (wid.x == params.splits) {
    write_corrections(head0, GROUP, batch, kv_head, lid);
    return;
  }
  let length = u32(lengths[batch]) + params.length_bias;
  var query: Pairs;
  load_pairs(&query, head0, GROUP, lane);
  // The scores that the log-normaliser is estimated from: every workgroup computes them again, which is cheaper than a dispatch.
  let edge = min(SINK + NEWEST, length);
  let sampled = min(SAMPLES, length - edge);
  var first = 0u;                                        // the keys of all splits but the last EDGE_SPLITS: first to end
  var end = length;
  let spread = params.splits - EDGE_SPLITS;
  let has_edges = EDGE_SPLITS > 0u && wid.x >= spread;
  if (EDGE_SPLITS > 0u) {
    first = SINK;
    end = SINK + length - edge;
  }
  let base0 = select(first + wid.x * TILE, end - 1u, has_edges);
  var edge_scores: PairScores;
  var ahead = 0u;                                        // where the row of the next batch that this lane scores begins, if it is looked up
  if (LOOKS_UP) { ahead = k_row(batch, kv_head, base0 + tile_row(slot, lane % UNROLL)); }
  var rows0: Rows;
  for (var r = 0u; r < SAMPLE_ROUNDS; r++) { // unroll
    var rows: Rows;
    for (var j = 0u; j < UNROLL; j++) { // unroll
      let i = min(r * TILE + tile_row(slot, j), edge + sampled - 1u);
      let row = k_row(batch, kv_head, sample_key(i, edge, sampled, length));
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        rows[j * LANE_WORDS + n] = keys[row + min(lane + n * LANES, WORDS - 1u)];
      }
    }
    // The first batch is on its way meanwhile.
    if (r == SAMPLE_ROUNDS - 1u) { load_tile(&rows0, batch, kv_head, base0, slot, lane, sg_lane - lane, ahead); }
    var p = screen_scores(&query, &rows, lane);
    if (has_edges && r == wid.x - spread) { edge_scores = p; }
    let i = r * TILE + tile_row(slot, lane % UNROLL);
    if (lane < UNROLL && i < edge + sampled) {
      for (var h = 0u; h < HEADS; h++) { // unroll
        sample_score[h * SAMPLED + i] = unpair(&p, h, score_unit());
      }
    }
  }
  workgroupBarrier();
  for (var h = lid / TEAM; h < HEADS; h += TEAMS) {
    var score: array<f32, SAMPLE_EACH>;
    var top = vec2f(LOWEST);                             // of the known keys (x) and of the samples (y)
    for (var j = 0u; j < SAMPLE_EACH; j++) { // unroll
      let i = j * TEAM + tl;
      score[j] = select(LOWEST, sample_score[h * SAMPLED + i], i < edge + sampled);
      top = max(top, select(vec2f(LOWEST, score[j]), vec2f(score[j], LOWEST), i < edge));
    }
    top = team_max(top);
    var sum = vec2f(0.0);
    for (var j = 0u; j < SAMPLE_EACH; j++) { // unroll
      let i = j * TEAM + tl;
      let e = select(0.0, exp(score[j] - select(top.y, top.x, i < edge)), i < edge + sampled);
      sum += select(vec2f(0.0, e), vec2f(e, 0.0), i < edge);
    }
    sum = team_add(sum);
    let near = vec2f(top.x, sum.x);                      // softmax (max, sum)
    let far = vec2f(top.y, sum.y);
    let whole = extrapolate(near, far, edge, sampled, length);
    let eta = head_threshold(head0 + h, length);
    if (tl == 0u) {
      let norm = whole.x + log(whole.y);
      let finite_norm = abs(norm) < 1e30;                 // not where a screened score overflowed: every row is read then
      head_norm[h] = select(0.0, norm * LOG2_E, finite_norm);
      head_cut[h] = LOWEST;
      if (finite_norm && eta > LOWEST) { head_cut[h] = (select(norm, 0.0, CUT_RELATIVE) + eta) * LOG2_E; }
    }
  }
  var scores0 = screen_scores(&query, &rows0, lane);
  workgroupBarrier();

  // Every splits-th batch: rows that are read lie close together, and a split with many would be waited for.
  let stride = spread * TILE;
  var acc: Sums;
  for (var i = 0u; i < HEADS * LANE_WORDS * V4; i++) { // unroll
    acc[i] = vec4f(0.0);
  }
  var top: PerHead;                                      // what sums are relative to: the estimate, or a score far above it
  var cut: PerHead;                                      // keep if score >= cut
  var kept_mass: PerHead;                                     // of the rows in this lane's turns of the queue that count for the head
  var dropped: PerHead;                                     // of all others in this lane
  var kept: Counts;
  for (var h = 0u; h < HEADS; h++) { // unroll
    top[h] = head_norm[h];
    cut[h] = head_cut[h];
    kept_mass[h] = 0.0;
    dropped[h] = 0.0;
    kept[h / 2u] = 0u;
  }
  var queued = 0u;                                       // the key of this lane in the team's queue, and its scores
  var queued_score: PairScores;
  var count = 0u;                                        // keys in the queue
  var rows_read = 0u;
  let share = has(params.flags, FLAG_SHARE);
  let newest = select(0xffffffffu, length - 1u, has(params.flags, FLAG_NEWEST));

  // The first batch only fills the queue.
  {
    var key = base0 + tile_row(slot, lane % UNROLL);
    var valid = key < end;
    if (has_edges) {
      scores0 = edge_scores;
      let i = (wid.x - spread) * TILE + tile_row(slot, lane % UNROLL);
      key = sample_key(i, edge, sampled, length);
      valid = i < edge;
    }
    let bits = judge(&scores0, &top, &cut, &dropped, valid && lane < UNROLL, key == newest, team0);
    count = countOneBits(bits);
    rows_read = count;
    enqueue(&queued, &queued_score, key, &scores0, team0 + nth_bit(bits, tl), tl < count);
  }
  if (LOOKS_UP) { ahead = k_row(batch, kv_head, base0 + stride + tile_row(slot, lane % UNROLL)); }
  // A turn more than there are batches, for what is left in the queue.
  for (var base = base0 + stride; base < end + stride; base += stride) {
    let last = base >= end;
    var rows: Rows;
    var p: PairScores;
    let key = base + tile_row(slot, lane % UNROLL);
    var bits = 0u;
    var found = 0u;
    if (!last) {
      load_tile(&rows, batch, kv_head, base, slot, lane, sg_lane - lane, ahead);
      if (LOOKS_UP) { ahead = k_row(batch, kv_head, base + stride + tile_row(slot, lane % UNROLL)); }
      p = screen_scores(&query, &rows, lane);
      bits = judge(&p, &top, &cut, &dropped, key < end && lane < UNROLL, EDGE_SPLITS == 0u && key == newest, team0);
      found = countOneBits(bits);
    }
    if (subgroupAny(bits != 0u || (last && count > 0u))) {
      rows_read += found;
      let after = count + found;
      enqueue(&queued, &queued_score, key, &p, team0 + nth_bit(bits, tl - count), tl >= count && tl < after);
      count = after;
      if (subgroupAny(count >= TEAM || last)) {
        read_rows(&acc, &top, &cut, &kept_mass, &dropped, &kept, queued, &queued_score, count, newest, share, batch, kv_head, team0, tl);
        // What did not fit begins the next queue.
        let left = max(count, TEAM) - TEAM;
        enqueue(&queued, &queued_score, key, &p, team0 + nth_bit(bits, tl + found - left), tl < left);
        count = left;
      }
    }
  }

  let team = lid / TEAM;
  for (var h = 0u; h < HEADS; h++) { // unroll
    if (tl == 0u) { team_top[h * TEAMS + team] = top[h] * LN_2; }
  }
  for (var r = 0u; r < HEAD_ROUNDS; r++) { // unroll
    var values: Folded;
    for (var i = 0u; i < TEAM_SLOTS; i++) { // unroll
      let h = min(r * TEAM_SLOTS + i, HEADS - 1u);
      values[i] = vec4f(kept_mass[h], dropped[h], f32((kept[h / 2u] >> (16u * (h % 2u))) & 0xffffu), 0.0);
    }
    let total = lanes_sum(fold_slots(&values, tl / LANES));
    let h = r * TEAM_SLOTS + tl / LANES;
    if (lane == 0u && h < HEADS) { team_mass[h * TEAMS + team] = total; }
  }
  if (tl == 0u) { team_read[team] = rows_read; }
  workgroupBarrier();
  if (lid < HEADS) {
    var m = LOWEST;
    for (var i = 0u; i < TEAMS; i++) { m = max(m, team_top[lid * TEAMS + i]); }
    var total = vec4f(0.0);
    var total_read = 0u;
    for (var i = 0u; i < TEAMS; i++) {
      total += team_mass[lid * TEAMS + i] * vec4f(vec2f(exp(team_top[lid * TEAMS + i] - m)), 1.0, 1.0);
      total_read += team_read[i];
    }
    let split = (head0 + lid) * params.splits + wid.x;
    split_softmax[split] = vec2f(m, total.x + total.y);
    split_output[split * SPLIT_VECS + SPLIT_VECS - 1u] = vec4f(total.x, total.z, f32(total_read), 0.0);
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    var m = LOWEST;
    for (var i = 0u; i < TEAMS; i++) { m = max(m, team_top[h * TEAMS + i]); }
    let factor = exp(top[h] * LN_2 - m);
    for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
      acc[h * LANE_WORDS * V4 + i] *= factor;
    }
  }
  write_sums(&acc, lid, tl, head0, HEADS, wid.x);
}

// Starts reading the K rows of the batch at `base`; some may lie behind the last key. found: where each lane's row begins, if it is looked up.
fn load_tile(
  rows: ptr<function, Rows>, batch: u32, kv_head: u32, base: u32, slot: u32, lane: u32, sg_slot: u32, found: u32,
) {
  for (var j = 0u; j < UNROLL; j++) { // unroll
    var row = 0u;
    if (LOOKS_UP) { row = subgroupShuffle(found, sg_slot + j); } else { row = k_row(batch, kv_head, base + tile_row(slot, 0u)) + j * PACK * WORDS; }
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      (*rows)[j * LANE_WORDS + n] = keys[row + min(lane + n * LANES, WORDS - 1u)];
    }
  }
}

// Which keys of a batch the team reads, a bit for each lane; the mass of the others is added to `rest`.
fn judge(
  score: ptr<function, PairScores>, top: ptr<function, PerHead>, cut: ptr<function, PerHead>, dropped: ptr<function, PerHead>,
  valid: bool, is_newest: bool, team0: u32,
) -> u32 {
  let unit = score_unit() * LOG2_E;
  var reads = is_newest;
  var relative: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    if (CUT_RELATIVE) {
      relative[h] = unpair(score, h, unit) - (*top)[h];
      reads = reads || !(relative[h] < (*cut)[h]);
    } else {
      reads = reads || !(unpair(score, h, unit) < (*cut)[h]);
    }
  }
  reads = reads && valid;
  for (var h = 0u; h < HEADS; h++) { // unroll
    if (!CUT_RELATIVE) { relative[h] = unpair(score, h, unit) - (*top)[h]; }
    (*dropped)[h] += select(0.0, exp2(relative[h]), valid && !reads);
  }
  let ballot = subgroupBallot(reads);
  return (ballot[team0 / 32u] >> (team0 % 32u)) & (0xffffffffu >> (32u - TEAM));
}
