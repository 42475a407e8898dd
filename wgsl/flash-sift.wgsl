// Sifted attention of one split in one pass: as flash.wgsl, but only V rows are read whose probability is at or above the
// threshold, by an estimate of the log-normaliser that is there before the pass over K (sample.wgsl).
// A team of TEAM lanes queues the rows to be read, one a lane, and reads them when every lane has one: the loads of V are as many and as
// wide as the dense kernel's, however few rows are kept. Leaves the split's softmax maximum and sum, its output relative to that
// maximum, and what was kept.
// Grid: (splits, KV_HEADS, batch).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;            // [batch]
@group(0) @binding(2) var<storage, read> q: array<Word>;                 // [batch, QUERY_HEADS, HEAD_SIZE]
@group(0) @binding(3) var<storage, read> keys: array<Word>;              // rows where k_row says
@group(0) @binding(4) var<storage, read> values: array<Word>;            // rows where v_row says
@group(0) @binding(5) var<storage, read> heads_state: array<HeadState>;  // [batch, QUERY_HEADS]
@group(0) @binding(6) var<storage, read_write> partials: array<vec2f>;   // [batch, QUERY_HEADS, splits] (max, sum)
@group(0) @binding(7) var<storage, read_write> part_out: array<vec4f>;   // [batch, QUERY_HEADS, splits, PART]

const ACC = HEADS * LANE_WORDS * V4;
const STEP = SLOTS * UNROLL;
const TEAM_SLOTS = TEAM / LANES;                         // rows that a team reads side by side
const TEAMS = WG / TEAM;
alias Sums = array<vec4f, ACC>;
const SAMPLED = SINK + NEWEST + SAMPLES;
var<workgroup> sample_score: array<f32, HEADS * SAMPLED>;
var<workgroup> head_cut: array<f32, HEADS>;
var<workgroup> team_part: array<vec4f, HEADS * TEAMS>;   // (max, sum, kept mass, kept)
var<workgroup> team_read: array<u32, TEAMS>;
var<workgroup> spill: array<vec4f, WG>;

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
  let team_mask = 0xffffffffu >> (32u - TEAM);
  let length = u32(lengths[batch]) + params.length_bias;
  var query: Query;
  load_query(&query, head0, GROUP, lane);
  // The scores that the log-normaliser is estimated from: every workgroup computes them again, which is cheaper than a dispatch.
  let known = min(SINK + NEWEST, length);
  let sampled = min(SAMPLES, length - known);
  for (var base = 0u; base < known + sampled; base += STEP) {
    var rows: Rows;
    for (var j = 0u; j < UNROLL; j++) { // unroll
      let row = k_row(batch, kv_head, sample_key(min(base + batch_row(slot, j), known + sampled - 1u), known, sampled, length));
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        rows[j * LANE_WORDS + n] = keys[row + min(lane + n * LANES, WORDS - 1u)];
      }
    }
    let p = row_scores(&query, &rows, lane);
    let i = base + batch_row(slot, lane % UNROLL);
    if (lane < UNROLL && i < known + sampled) {
      for (var h = 0u; h < HEADS; h++) { // unroll
        sample_score[h * SAMPLED + i] = p[h];
      }
    }
  }
  workgroupBarrier();
  for (var h = lid / TEAM; h < HEADS; h += TEAMS) {
    var near = vec2f(LOWEST, 0.0);                       // softmax (max, sum) of the known keys, and of the samples
    var far = vec2f(LOWEST, 0.0);
    for (var i = tl; i < known + sampled; i += TEAM) {
      let score = sample_score[h * SAMPLED + i];
      near.x = max(near.x, select(LOWEST, score, i < known));
      far.x = max(far.x, select(score, LOWEST, i < known));
    }
    near.x = team_max(near.x);
    far.x = team_max(far.x);
    for (var i = tl; i < known + sampled; i += TEAM) {
      let e = exp(sample_score[h * SAMPLED + i] - select(far.x, near.x, i < known));
      near.y += select(0.0, e, i < known);
      far.y += select(e, 0.0, i < known);
    }
    near.y = team_add(near.y);
    far.y = team_add(far.y);
    let whole = extrapolate(near, far, known, sampled, length);
    let state = head0 + h;
    let eta = log_threshold(heads_state[state].status, heads_state[state].log_alpha, heads_state[state].beta, length);
    if (tl == 0u) { head_cut[h] = select(LOWEST, whole.x + log(whole.y) + eta, eta > LOWEST); }
  }
  workgroupBarrier();

  let begin = wid.x * params.chunk;
  let end = min(begin + params.chunk, length);
  var acc: Sums;
  for (var i = 0u; i < HEADS * LANE_WORDS * V4; i++) { // unroll
    acc[i] = vec4f(0.0);
  }
  var top: PerHead;                                      // running maximum of the team
  var sum: PerHead;                                      // of the rows (lane % UNROLL)
  var cut: PerHead;                                      // keep if score >= cut
  var mass: PerHead;                                     // of the rows in this lane's turns of the queue
  var kept: array<u32, (HEADS + 1u) / 2u>;               // rows that a head keeps, two heads a word
  var queued: PerHead;                                   // weights of this lane's row in the queue, 0 if it has none
  for (var h = 0u; h < HEADS; h++) { // unroll
    top[h] = LOWEST;
    sum[h] = 0.0;
    mass[h] = 0.0;
    kept[h / 2u] = 0u;
    queued[h] = 0.0;
    cut[h] = head_cut[h];
  }
  var queued_key = 0u;
  var count = 0u;                                        // rows in the team's queue
  var rows_read = 0u;
  let share = has(params.flags, FLAG_SHARE);
  let newest = select(0xffffffffu, length - 1u, has(params.flags, FLAG_NEWEST));

  for (var base = begin; base < end; base += STEP) {
    var rows: Rows;
    load_keys(&rows, batch, kv_head, base, end - 1u, slot, lane);
    let key = base + batch_row(slot, lane % UNROLL);
    let valid = key < end;
    var p = row_scores(&query, &rows, lane);
    var grows = false;
    for (var h = 0u; h < HEADS; h++) { // unroll
      grows = grows || (valid && p[h] > top[h]);
    }
    // Rare after the first batches.
    if (subgroupAny(grows)) {
      for (var h = 0u; h < HEADS; h++) { // unroll
        let m = max(top[h], team_max(select(LOWEST, p[h], valid)));
        let factor = exp(top[h] - m);
        top[h] = m;
        sum[h] *= factor;
        mass[h] *= factor;
        queued[h] *= factor;
        for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
          acc[h * LANE_WORDS * V4 + i] *= factor;
        }
      }
    }
    var reads = valid && key == newest;
    var keeps: array<bool, HEADS>;
    for (var h = 0u; h < HEADS; h++) { // unroll
      keeps[h] = valid && (key == newest || p[h] >= cut[h]);
      reads = reads || keeps[h];
    }
    for (var h = 0u; h < HEADS; h++) { // unroll
      let e = select(0.0, exp(p[h] - top[h]), valid);
      sum[h] += e;
      p[h] = select(0.0, e, keeps[h] || share);
      kept[h / 2u] += u32(keeps[h]) << (16u * (h % 2u));
    }
    let ballot = subgroupBallot(reads && lane < UNROLL);
    let bits = (ballot[team0 / 32u] >> (team0 % 32u)) & team_mask;
    if (subgroupAny(bits != 0u)) {
      let found = countOneBits(bits);
      rows_read += found;
      let after = count + found;
      enqueue(&queued, &queued_key, &p, key, team0, nth_bit(bits, tl - count), tl >= count && tl < after);
      count = after;
      if (subgroupAny(count >= TEAM)) {
        for (var h = 0u; h < HEADS; h++) { // unroll
          mass[h] += queued[h];
        }
        add_rows(&acc, &rows, &queued, queued_key, batch, kv_head, team0, tl / LANES, lane);
        // What did not fit begins the next queue.
        let left = max(count, TEAM) - TEAM;
        for (var h = 0u; h < HEADS; h++) { // unroll
          queued[h] = 0.0;
        }
        enqueue(&queued, &queued_key, &p, key, team0, nth_bit(bits, tl + found - left), tl < left);
        count = left;
      }
    }
  }
  if (subgroupAny(count > 0u)) {
    var rows: Rows;
    add_rows(&acc, &rows, &queued, queued_key, batch, kv_head, team0, tl / LANES, lane);
  }

  let team = lid / TEAM;
  for (var h = 0u; h < HEADS; h++) { // unroll
    let keeps = f32((kept[h / 2u] >> (16u * (h % 2u))) & 0xffffu);
    let part = vec4f(top[h], team_slots_sum(slot_sum(sum[h])), team_add(mass[h] + queued[h]), team_slots_sum(slot_sum(keeps)));
    if (tl == 0u) { team_part[h * TEAMS + team] = part; }
  }
  if (tl == 0u) { team_read[team] = rows_read; }
  workgroupBarrier();
  if (lid < HEADS) {
    var part = team_part[lid * TEAMS];
    var total_read = team_read[0];
    for (var i = 1u; i < TEAMS; i++) {
      let other = team_part[lid * TEAMS + i];
      let m = max(part.x, other.x);
      let factors = vec2f(exp(part.x - m), exp(other.x - m));
      part = vec4f(m, dot(vec2f(part.y, other.y), factors), dot(vec2f(part.z, other.z), factors), part.w + other.w);
      total_read += team_read[i];
    }
    let split = (head0 + lid) * params.splits + wid.x;
    partials[split] = part.xy;
    part_out[split * PART + PART - 1u] = vec4f(part.zw, f32(total_read), 0.0);
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    var m = LOWEST;
    for (var i = 0u; i < TEAMS; i++) { m = max(m, team_part[h * TEAMS + i].x); }
    let factor = exp(top[h] - m);
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      for (var e = 0u; e < V4; e++) { // unroll
        spill[lid] = acc[(h * LANE_WORDS + n) * V4 + e] * factor;
        workgroupBarrier();
        let v = (lid + n * LANES) * V4 + e;
        if (lid < LANES && v < HEAD_SIZE / 4u) {
          var out = spill[lid];
          for (var r = 1u; r < SLOTS; r++) { out += spill[r * LANES + lid]; }
          part_out[((head0 + h) * params.splits + wid.x) * PART + v] = out;
        }
        workgroupBarrier();
      }
    }
  }
}

// Lanes that `fill` take the key and the weights of the team's lane `source` into the queue.
fn enqueue(
  queued: ptr<function, PerHead>, queued_key: ptr<function, u32>, p: ptr<function, PerHead>, key: u32,
  team0: u32, source: u32, fill: bool,
) {
  let other = subgroupShuffle(key, team0 + source);
  *queued_key = select(*queued_key, other, fill);
  for (var h = 0u; h < HEADS; h++) { // unroll
    let weight = subgroupShuffle((*p)[h], team0 + source);
    (*queued)[h] = select((*queued)[h], weight, fill);
  }
}

// Reads the rows of the team's queue and adds them to the sums.
fn add_rows(
  acc: ptr<function, Sums>, rows: ptr<function, Rows>, queued: ptr<function, PerHead>, queued_key: u32,
  batch: u32, kv_head: u32, team0: u32, team_slot: u32, lane: u32,
) {
  for (var turn = 0u; turn < TURNS; turn++) { // unroll
    for (var j = 0u; j < UNROLL; j++) { // unroll
      let row = v_row(batch, kv_head, subgroupShuffle(queued_key, team0 + (turn * UNROLL + j) * TEAM_SLOTS + team_slot));
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        (*rows)[j * LANE_WORDS + n] = values[row + min(lane + n * LANES, WORDS - 1u)];
      }
    }
    for (var j = 0u; j < UNROLL; j++) { // unroll
      var weight: PerHead;
      for (var h = 0u; h < HEADS; h++) { // unroll
        weight[h] = subgroupShuffle((*queued)[h], team0 + (turn * UNROLL + j) * TEAM_SLOTS + team_slot);
      }
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        let lo = word_lo((*rows)[j * LANE_WORDS + n]);
        let hi = word_hi((*rows)[j * LANE_WORDS + n]);
        for (var h = 0u; h < HEADS; h++) { // unroll
          (*acc)[(h * LANE_WORDS + n) * V4] += weight[h] * lo;
          if (V4 == 2u) { (*acc)[(h * LANE_WORDS + n) * V4 + V4 - 1u] += weight[h] * hi; }
        }
      }
    }
  }
}

// The largest value of the slots of a team.
fn team_slots_max(value: f32) -> f32 {
  var m = value;
  if (TEAM > LANES) { m = max(m, subgroupShuffleXor(m, LANES)); }
  if (TEAM > 2u * LANES) { m = max(m, subgroupShuffleXor(m, 2u * LANES)); }
  if (TEAM > 4u * LANES) { m = max(m, subgroupShuffleXor(m, 4u * LANES)); }
  return m;
}

// The sum over the slots of a team.
fn team_slots_sum(value: f32) -> f32 {
  var sum = value;
  if (TEAM > LANES) { sum += subgroupShuffleXor(sum, LANES); }
  if (TEAM > 2u * LANES) { sum += subgroupShuffleXor(sum, 2u * LANES); }
  if (TEAM > 4u * LANES) { sum += subgroupShuffleXor(sum, 4u * LANES); }
  return sum;
}

// The largest value, and the sum, over the lanes of a team.
fn team_max(value: f32) -> f32 {
  var m = team_slots_max(value);
  for (var step = 1u; step < LANES; step *= 2u) { m = max(m, subgroupShuffleXor(m, step)); }
  return m;
}
fn team_add(value: f32) -> f32 {
  var sum = team_slots_sum(value);
  for (var step = 1u; step < LANES; step *= 2u) { sum += subgroupShuffleXor(sum, step); }
  return sum;
}
