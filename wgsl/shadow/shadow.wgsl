// Sifted attention of one split in one pass, where the shadow of K decides which rows are read (encode.wgsl makes it). A score from the
// shadow costs an eighth of the bytes of an exact one. The exact K row and the V row are read of the edge keys, and of the keys whose
// probability by the shadow is at or above the threshold for some head of the group. Exact scores give these rows their weights. All other
// rows take part in the softmax sum by their scores from the shadow. The phases are functions:
//   prepare_queries  rotates and codes the queries (query.wgsl)
//   estimate         estimates the log-normaliser of every head: edge keys by their exact scores, samples by the shadow
//   scan             decides which rows are read, notes their keys, and adds up the mass of the others
//   read_noted       reads the rows that were noted, and adds them to the output by their weights (read.wgsl)
//   write_split      writes what combine needs of the split
// Scanning and reading take turns: a round scans as many rows as the list of keys has room for, then reads. So each of them has the registers for
// itself, and the rows that are read are shared evenly among the teams.
// Rows are taken by pieces of TEAM neighbouring rows, one for each lane of a team. Of all teams of a KV head each takes every n-th piece,
// because rows of high probability lie close together. The edge keys are the last pieces.
// Grid: (splits, KV_HEADS, batch), and one workgroup more in x where corrections are prepared (correction.wgsl).
// Buffers: lengths, q, keys, values, layer_state, shadow, split_softmax (written), split_output (written)
// Constants: WG, LANES, TEAM, QUERY_HEADS, GROUP, HEADS, LANE_WORDS, V4, AT_ONCE, ROUND_TURNS, SINK, NEWEST, TEAMS, SAMPLES, EDGE_ROUNDS
// Constants: SLOTS, UNROLL, WORDS, SAMPLED, ROUND_ROWS, HEAD_ROUNDS, TEAM_SLOTS

const CUT_RELATIVE = false;              // cuts are scores
var<workgroup> team_dropped: array<f32, HEADS * TEAMS>;  // mass of the rows that a team has scanned and not noted, relative to head_norm

// What a split has of the keys.
struct Share {
  length: u32,       // keys of the sequence
  edge_count: u32,   // edge keys among them
  first_row: u32,    // the rows of the keys between the edges
  end_row: u32,
  first_piece: u32,  // the piece of first_row
  between: u32,      // pieces with keys between the edges; those of the edge keys follow
  pieces: u32,       // all pieces
  first: u32,        // the first piece of the workgroup
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
  let share = share_of(wid.x, u32(lengths[wid.z]) + params.length_bias);
  for (var i = lid; i < HEADS * TEAMS; i += WG) { team_dropped[i] = 0.0; }
  prepare_queries(at);
  workgroupBarrier();
  estimate(at, share.edge_count, share.length);

  var acc: Sums;
  for (var i = 0u; i < HEADS * LANE_WORDS * V4; i++) { // unroll
    acc[i] = vec4f(0.0);
  }
  var state: State;
  for (var h = 0u; h < HEADS; h++) { // unroll
    state.top[h] = head_norm[h];
    state.kept_mass[h] = 0.0;
    state.dropped[h] = 0.0;
    state.kept[h / 2u] = 0u;
  }
  var rows_read = 0u;
  let at_a_turn = params.splits * TEAMS * AT_ONCE;
  let turns = (share.pieces + at_a_turn - 1u) / at_a_turn;
  for (var done = 0u; done < turns; done += ROUND_TURNS) {
    let count = min(turns - done, ROUND_TURNS);
    scan(at, share, done, count);
    workgroupBarrier();
    rows_read += read_noted(&state, &acc, at, share.length);
    workgroupBarrier();
  }
  if (tl == 0u) {
    for (var h = 0u; h < HEADS; h++) { // unroll
      state.dropped[h] = team_dropped[h * TEAMS + lid / TEAM] * exp2(head_norm[h] - state.top[h]);
    }
  }
  write_split(&state, &acc, select(0u, rows_read, lid / TEAM == 0u), at, wid.x);
}

fn share_of(split: u32, length: u32) -> Share {
  let edge_count = min(SINK + NEWEST, length);
  let first_row = params.first_key + SINK;
  let end_row = first_row + length - edge_count;
  let first_piece = first_row / TEAM;
  let between = select(0u, (end_row + TEAM - 1u) / TEAM - first_piece, end_row > first_row);
  let pieces = between + (edge_count + TEAM - 1u) / TEAM;
  return Share(length, edge_count, first_row, end_row, first_piece, between, pieces, split);
}

// The piece of a team in a step. The pieces of a workgroup lie as far apart as those of a team.
fn piece_of(share: Share, step: u32, team: u32) -> u32 { return share.first + (step * TEAMS + team) * params.splits; }

// Starts loading this lane's rows of the AT_ONCE pieces of a turn. Rows that lie beyond the end are not used.
fn load_pieces(rows: ptr<function, ShadowRows>, at: Place, share: Share, turn: u32) {
  for (var r = 0u; r < AT_ONCE; r++) { // unroll
    let piece = share.first_piece + piece_of(share, turn * AT_ONCE + r, at.lid / TEAM);
    load_shadow(rows, r, at, min(piece * TEAM + at.tl, max(share.end_row, 1u) - 1u));
  }
}

// Scans `count` turns, and notes the keys of the rows that are read. The mass of the other rows is added to the team's.
fn scan(at: Place, share: Share, done: u32, count: u32) {
  let team = at.lid / TEAM;
  var found = 0u;
  var dropped: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    dropped[h] = 0.0;
  }
  var rows: ShadowRows;
  load_pieces(&rows, at, share, done);
  for (var turn = 0u; turn < count; turn++) {
    var scores: ShadowScores;
    shadow_scores(&scores, &rows);
    load_pieces(&rows, at, share, done + turn + 1u);
    for (var r = 0u; r < AT_ONCE; r++) { // unroll
      let step = turn * AT_ONCE + r;
      let piece = piece_of(share, done * AT_ONCE + step, team);
      let row = (share.first_piece + piece) * TEAM + at.tl;
      let between = piece < share.between && row >= share.first_row && row < share.end_row;
      let edge = (piece - share.between) * TEAM + at.tl;
      let is_edge = piece >= share.between && edge < share.edge_count;
      let bits = judge(&scores, r, &dropped, between, is_edge, at.team0);
      if (((bits >> at.tl) & 1u) == 1u) {
        var key = row - params.first_key;
        if (is_edge) { key = sample_key(edge, share.edge_count, 0u, share.length); }
        noted[team * ROUND_ROWS + found + countOneBits(bits & ((1u << at.tl) - 1u))] = key;
      }
      found += countOneBits(bits);
    }
  }
  for (var r = 0u; r < HEAD_ROUNDS; r++) { // unroll
    var values: Folded;
    for (var i = 0u; i < TEAM_SLOTS; i++) { // unroll
      values[i] = vec4f(dropped[min(r * TEAM_SLOTS + i, HEADS - 1u)]);
    }
    let total = lanes_sum(fold_slots(&values, at.tl / LANES)).x;
    let h = r * TEAM_SLOTS + at.tl / LANES;
    if (at.lane == 0u && h < HEADS) { team_dropped[h * TEAMS + team] += total; }
  }
  if (at.tl == 0u) { team_found[team] = found; }
}

// Decides which rows of a piece are read: a bit for each lane of the team. Comparisons are negated so that a score that is not a number has
// its row read.
fn judge(scores: ptr<function, ShadowScores>, r: u32, dropped: ptr<function, PerHead>, between: bool, is_edge: bool, team0: u32) -> u32 {
  var reads = false;
  for (var h = 0u; h < HEADS; h++) { // unroll
    reads = reads || !((*scores)[r * HEADS + h] < head_cut[h]);
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    (*dropped)[h] += select(0.0, exp2((*scores)[r * HEADS + h] - head_norm[h]), between && !reads);
  }
  let ballot = subgroupBallot((reads && between) || is_edge);
  return (ballot[team0 / 32u] >> (team0 % 32u)) & (0xffffffffu >> (32u - TEAM));
}

// Estimates the log-normaliser of every head, and puts it and the head's cut into workgroup memory. Every workgroup of a KV head estimates
// the same, because a dispatch for it would cost more.
fn estimate(at: Place, edge_count: u32, length: u32) {
  let sample_count = min(SAMPLES, length - edge_count);
  var query: Query;
  load_query(&query, at.head0, HEADS, at.lane);
  for (var round = 0u; round < EDGE_ROUNDS; round++) { // unroll
    let base = round * SLOTS * UNROLL;
    var rows: Rows;
    for (var j = 0u; j < UNROLL; j++) { // unroll
      let i = min(base + tile_row(at.slot, j), edge_count - 1u);
      let row = k_row(at.batch, at.kv_head, sample_key(i, edge_count, sample_count, length));
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        rows[j * LANE_WORDS + n] = keys[row + min(at.lane + n * LANES, WORDS - 1u)];
      }
    }
    let score = row_scores(&query, &rows, at.lane);
    let i = base + tile_row(at.slot, at.lane % UNROLL);
    if (at.lane < UNROLL && i < edge_count) {
      for (var h = 0u; h < HEADS; h++) { // unroll
        sample_score[h * SAMPLED + i] = score[h];
      }
    }
  }
  for (var s = at.lid; s < sample_count; s += WG) {
    let score = shadow_score(at, params.first_key + sample_key(edge_count + s, edge_count, sample_count, length));
    for (var h = 0u; h < HEADS; h++) { // unroll
      sample_score[h * SAMPLED + edge_count + s] = score[h] * LN_2;
    }
  }
  workgroupBarrier();
  write_cuts(at, edge_count, sample_count, length);
  workgroupBarrier();
}
