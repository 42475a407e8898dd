// Sifted attention of one split in one pass: as flash.wgsl, but only V rows at or above a cut known before (bound.wgsl) are read. Leaves
// the split's softmax maximum and sum, its output relative to that maximum, and what was kept.
// Grid: (splits, KV_HEADS * BLOCKS, batch).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;            // [batch]
@group(0) @binding(2) var<storage, read> q: array<Word>;                 // [batch, QUERY_HEADS, HEAD_SIZE]
@group(0) @binding(3) var<storage, read> keys: array<Word>;              // rows where k_row says
@group(0) @binding(4) var<storage, read> values: array<Word>;            // rows where v_row says
@group(0) @binding(5) var<storage, read_write> partials: array<vec2f>;   // [batch, QUERY_HEADS, splits] (max, sum)
@group(0) @binding(6) var<storage, read_write> part_out: array<vec4f>;   // [batch, QUERY_HEADS, splits, PART]
@group(0) @binding(7) var<storage, read> cuts: array<f32>;               // [batch, QUERY_HEADS]

const ACC = HEADS * LANE_WORDS * V4;
const STEP = SLOTS * UNROLL;
var<workgroup> slot_part: array<vec4f, HEADS * SLOTS>;   // (max, sum, kept mass, kept)
var<workgroup> slot_read: array<f32, SLOTS>;
var<workgroup> spill: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
  @builtin(subgroup_invocation_id) sg_lane: u32,
) {
  let batch = wid.z;
  let kv_head = wid.y / BLOCKS;
  let first = (wid.y % BLOCKS) * HEADS;                  // first head of this block within the group
  let heads = min(HEADS, GROUP - first);
  let head0 = batch * QUERY_HEADS + kv_head * GROUP + first;
  let slot = lid / LANES;
  let lane = lid % LANES;
  let sg_slot = sg_lane - lane;                          // the slot's first lane within the subgroup
  var query: Query;
  load_query(&query, head0, heads, lane);

  let length = u32(lengths[batch]) + params.length_bias;
  let begin = wid.x * params.chunk;
  let end = min(begin + params.chunk, length);
  var acc: array<vec4f, ACC>;
  for (var i = 0u; i < HEADS * LANE_WORDS * V4; i++) { // unroll
    acc[i] = vec4f(0.0);
  }
  var top: PerHead;                                      // running maximum of the slot
  var sum: PerHead;                                      // of the rows (lane % UNROLL)
  var cut: PerHead;                                      // keep if score >= cut
  var mass: PerHead;                                     // of the rows that take part
  var kept: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    top[h] = LOWEST;
    sum[h] = 0.0;
    mass[h] = 0.0;
    kept[h] = 0.0;
    cut[h] = cuts[head0 + min(h, heads - 1u)];
  }
  var rows_read = 0.0;
  let share = has(params.flags, FLAG_SHARE);
  let largest = has(params.flags, FLAG_LARGEST);
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
        let m = max(top[h], slot_max(select(LOWEST, p[h], valid)));
        let factor = exp(top[h] - m);
        top[h] = m;
        sum[h] *= factor;
        mass[h] *= factor;
        for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
          acc[h * LANE_WORDS * V4 + i] *= factor;
        }
      }
    }
    var reads = valid && key == newest;
    var keeps: array<bool, HEADS>;
    for (var h = 0u; h < HEADS; h++) { // unroll
      keeps[h] = h < heads && valid && (key == newest || p[h] >= cut[h] || (largest && p[h] >= top[h]));
      reads = reads || keeps[h];
    }
    for (var h = 0u; h < HEADS; h++) { // unroll
      let e = select(0.0, exp(p[h] - top[h]), valid);
      sum[h] += e;
      p[h] = select(0.0, e, select(keeps[h], reads, share));
      mass[h] += p[h];
      kept[h] += f32(keeps[h]);
    }
    rows_read += f32(reads);
    // A row that no head keeps costs no memory traffic: its lanes read a row that another turn has brought into the cache.
    let ballot = subgroupBallot(reads);
    let votes = ballot[sg_slot / 32u] >> (sg_slot % 32u);
    for (var j = 0u; j < UNROLL; j++) { // unroll
      let wanted = select(end - 1u, base + batch_row(slot, j), ((votes >> j) & 1u) == 1u);
      let row = v_row(batch, kv_head, wanted);
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        rows[j * LANE_WORDS + n] = values[row + min(lane + n * LANES, WORDS - 1u)];
      }
    }
    if (subgroupAny(reads)) {
      for (var j = 0u; j < UNROLL; j++) { // unroll
        var weight: PerHead;
        for (var h = 0u; h < HEADS; h++) { // unroll
          weight[h] = subgroupShuffle(p[h], sg_slot + j);
        }
        for (var n = 0u; n < LANE_WORDS; n++) { // unroll
          let lo = word_lo(rows[j * LANE_WORDS + n]);
          let hi = word_hi(rows[j * LANE_WORDS + n]);
          for (var h = 0u; h < HEADS; h++) { // unroll
            acc[(h * LANE_WORDS + n) * V4] += weight[h] * lo;
            if (V4 == 2u) { acc[(h * LANE_WORDS + n) * V4 + V4 - 1u] += weight[h] * hi; }
          }
        }
      }
    }
  }

  for (var h = 0u; h < HEADS; h++) { // unroll
    let part = vec4f(top[h], slot_sum(sum[h]), slot_sum(mass[h]), slot_sum(kept[h]));
    if (lane == 0u) { slot_part[h * SLOTS + slot] = part; }
  }
  let slot_rows = slot_sum(rows_read);
  if (lane == 0u) { slot_read[slot] = slot_rows; }
  workgroupBarrier();
  if (lid < heads) {
    var part = slot_part[lid * SLOTS];
    var total_read = slot_read[0];
    for (var i = 1u; i < SLOTS; i++) {
      let other = slot_part[lid * SLOTS + i];
      let m = max(part.x, other.x);
      let factors = vec2f(exp(part.x - m), exp(other.x - m));
      part = vec4f(m, dot(vec2f(part.y, other.y), factors), dot(vec2f(part.z, other.z), factors), part.w + other.w);
      total_read += slot_read[i];
    }
    let split = (head0 + lid) * params.splits + wid.x;
    partials[split] = part.xy;
    part_out[split * PART + PART - 1u] = vec4f(part.zw, total_read, 0.0);
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    var m = LOWEST;
    for (var i = 0u; i < SLOTS; i++) { m = max(m, slot_part[h * SLOTS + i].x); }
    let factor = exp(top[h] - m);
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      for (var e = 0u; e < V4; e++) { // unroll
        spill[lid] = acc[(h * LANE_WORDS + n) * V4 + e] * factor;
        workgroupBarrier();
        let v = (lid + n * LANES) * V4 + e;
        if (lid < LANES && v < HEAD_SIZE / 4u && h < heads) {
          var out = spill[lid];
          for (var r = 1u; r < SLOTS; r++) { out += spill[r * LANES + lid]; }
          part_out[((head0 + h) * params.splits + wid.x) * PART + v] = out;
        }
        workgroupBarrier();
      }
    }
  }
}
