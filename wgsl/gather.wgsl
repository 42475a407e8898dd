// Sift and gather: the global softmax maximum and sum from the splits' partials, the threshold of every head, the rows of
// this split at or above it compacted into a list, and only those V rows read, once for all heads of the group.
// Grid: (splits, KV_HEADS * BLOCKS, batch).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;            // [batch]
@group(0) @binding(2) var<storage, read> scores: array<f32>;             // [batch, QUERY_HEADS, score_stride]
@group(0) @binding(3) var<storage, read> partials: array<vec2f>;         // [batch, QUERY_HEADS, splits]
@group(0) @binding(4) var<storage, read> heads_state: array<HeadState>;  // [batch, QUERY_HEADS]
@group(0) @binding(5) var<storage, read> values: array<Word>;            // [batch, KV_HEADS, capacity, HEAD_SIZE]
@group(0) @binding(6) var<storage, read_write> part_out: array<vec4f>;   // [batch, QUERY_HEADS, splits, HEAD_SIZE / 4]
@group(0) @binding(7) var<storage, read_write> part_stat: array<vec4f>;  // [batch, QUERY_HEADS, splits] (kept mass, kept, union, 0)

const ROWS = WG / LANES;                 // V rows in flight
const LANE_WORDS = (WORDS + LANES - 1u) / LANES;
const ACC = HEADS * LANE_WORDS * V4;

const PER_HEAD = WG / GROUP;             // invocations that add up one head's partials
const KEY_BITS = 24u;                    // of a list entry; the bits above say which heads keep the row themselves

var<workgroup> head_max: array<f32, GROUP>;
var<workgroup> head_cut: array<f32, GROUP>;       // keep if score >= cut
var<workgroup> list: array<u32, TILE>;            // kept keys of the tile
var<workgroup> weight: array<f32, HEADS * TILE>;  // exp(score - max) of the kept keys, 0 where a head does not share
var<workgroup> spill: array<vec4f, WG * V4>;     // partial softmaxes first, partial outputs at the end
var<workgroup> spill_stat: array<vec2f, ROWS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  setup_reduce();
  let batch = wid.z;
  let kv_head = wid.y / BLOCKS;
  let first = (wid.y % BLOCKS) * HEADS;
  let heads = min(HEADS, GROUP - first);
  let group0 = batch * QUERY_HEADS + kv_head * GROUP;    // first query head of the group, over the batch
  let length = u32(lengths[batch]) + params.length_bias;

  let my_head = lid / PER_HEAD;
  var part = vec2f(LOWEST, 0.0);
  if (my_head < GROUP) {
    for (var i = lid % PER_HEAD; i < params.splits; i += PER_HEAD) {
      part = merge_softmax(part, partials[(group0 + my_head) * params.splits + i]);
    }
  }
  spill[lid] = vec4f(part, 0.0, 0.0);
  workgroupBarrier();
  if (lid < GROUP) {
    var softmax = spill[lid * PER_HEAD].xy;
    for (var i = 1u; i < PER_HEAD; i++) { softmax = merge_softmax(softmax, spill[lid * PER_HEAD + i].xy); }
    let state = group0 + lid;
    let eta = log_threshold(heads_state[state].status, heads_state[state].log_alpha, heads_state[state].beta, length);
    var cut = LOWEST;
    if (eta > LOWEST) { cut = softmax.x + log(softmax.y) + eta; }
    if (has(params.flags, FLAG_LARGEST)) { cut = min(cut, softmax.x); }
    head_max[lid] = softmax.x;
    head_cut[lid] = cut;
  }
  workgroupBarrier();

  let begin = wid.x * params.chunk;
  let end = min(begin + params.chunk, length);
  let share = has(params.flags, FLAG_SHARE);
  let newest = select(0xffffffffu, length - 1u, has(params.flags, FLAG_NEWEST));
  let slot = lid / LANES;
  let lane = lid % LANES;
  var acc: array<vec4f, ACC>;
  for (var i = 0u; i < ACC; i++) { acc[i] = vec4f(0.0); }
  var stat: array<vec2f, HEADS>;                         // (mass that takes part, rows the head keeps) of this slot's rows
  for (var h = 0u; h < HEADS; h++) { stat[h] = vec2f(0.0); }
  var in_union = 0u;

  for (var tile = begin; tile < end; tile += TILE) {
    var mine = 0u;                                       // bit j: key tile + j * WG + lid is read
    for (var j = 0u; j < TILE / WG; j++) {
      let key = tile + j * WG + lid;
      if (key < end) {
        var any = key == newest;
        for (var h = 0u; h < GROUP; h++) {
          any = any || scores[(group0 + h) * params.score_stride + key] >= head_cut[h];
        }
        mine |= u32(any) << j;
      }
    }
    let place = workgroup_scan(countOneBits(mine), lid);
    var at = place.x;
    for (var j = 0u; j < TILE / WG; j++) {
      if ((mine & (1u << j)) != 0u) {
        let key = tile + j * WG + lid;
        var entry = key;
        for (var h = 0u; h < heads; h++) {
          let s = scores[(group0 + first + h) * params.score_stride + key];
          let keep = s >= head_cut[first + h] || key == newest;
          entry |= u32(keep) << (KEY_BITS + h);
          weight[h * TILE + at] = select(0.0, exp(s - head_max[first + h]), share || keep);
        }
        list[at] = entry;
        at++;
      }
    }
    in_union += place.y;
    workgroupBarrier();
    for (var i = slot; i < place.y; i += ROWS) {
      let entry = list[i];
      let row = v_row(batch, kv_head, extractBits(entry, 0u, KEY_BITS));
      for (var h = 0u; h < HEADS; h++) {
        stat[h] += vec2f(weight[h * TILE + i], f32(extractBits(entry, KEY_BITS + h, 1u)));
      }
      for (var n = 0u; n < LANE_WORDS; n++) {
        let w = lane + n * LANES;
        if (w < WORDS) {
          let word = values[row + w];
          let lo = word_lo(word);
          let hi = word_hi(word);
          for (var h = 0u; h < HEADS; h++) {
            let p = weight[h * TILE + i];
            acc[(h * LANE_WORDS + n) * V4] += p * lo;
            if (V4 == 2u) { acc[(h * LANE_WORDS + n) * V4 + 1u] += p * hi; }
          }
        }
      }
    }
    workgroupBarrier();
  }

  for (var h = 0u; h < heads; h++) {
    let head = (group0 + first + h) * params.splits + wid.x;
    for (var n = 0u; n < LANE_WORDS; n++) {
      for (var e = 0u; e < V4; e++) { spill[lid * V4 + e] = acc[(h * LANE_WORDS + n) * V4 + e]; }
      if (lane == 0u) { spill_stat[slot] = stat[h]; }
      workgroupBarrier();
      for (var i = lid; i < LANES * V4; i += WG) {
        var sum = spill[i];
        for (var r = 1u; r < ROWS; r++) { sum += spill[r * LANES * V4 + i]; }
        let v = n * LANES * V4 + i;
        if (v < HEAD_SIZE / 4u) { part_out[head * (HEAD_SIZE / 4u) + v] = sum; }
      }
      if (lid == WG - 1u && n == 0u) {
        var sum = spill_stat[0];
        for (var r = 1u; r < ROWS; r++) { sum += spill_stat[r]; }
        part_stat[head] = vec4f(sum, f32(in_union), 0.0);
      }
      workgroupBarrier();
    }
  }
}
