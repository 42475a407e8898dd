// Combine: adds the splits' partial outputs, each relative to its split's maximum, and what stands for the rows that were not read
// (rest.wgsl). Divides by the whole (or, renormalising, by the kept mass), writes the attention output, and
// keeps the head's running figures and its guard.
// A head has SLICES workgroups, each with a part of the row.
// Grid: (QUERY_HEADS * SLICES, batch).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;                  // [batch]
@group(0) @binding(2) var<storage, read> partials: array<vec2f>;               // [batch, QUERY_HEADS, splits]
@group(0) @binding(3) var<storage, read> part_out: array<vec4f>;               // [batch, QUERY_HEADS, splits, PART], rests
@group(0) @binding(4) var<storage, read_write> heads_state: array<HeadState>;  // [batch, QUERY_HEADS]
@group(0) @binding(5) var<storage, read_write> groups_state: array<GroupState>; // [batch, KV_HEADS]
@group(0) @binding(6) var<storage, read_write> output: array<Word>;            // [batch, QUERY_HEADS, HEAD_SIZE]

const SLICE_VECS = VECS / SLICES;
const SLICE_WORDS = WORDS / SLICES;
const ENTRIES = ADDERS >> MERGES;
var<workgroup> entry_softmax: array<vec2f, ENTRIES>;            // (max, sum)
var<workgroup> entry_stat: array<vec4f, ENTRIES>;
var<workgroup> entry_out: array<vec4f, ENTRIES * SLICE_VECS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let own = wid.x / SLICES;                               // head within the sequence
  let slice = wid.x % SLICES;
  let head = wid.y * QUERY_HEADS + own;
  let base = head * params.splits;
  let dense = has(params.flags, FLAG_DENSE);

  // All that is needed is asked for before anything is waited for: a chain of loads takes longer than all the arithmetic here.
  let word = slice * SLICE_WORDS + lid;                   // of the output, for the first SLICE_WORDS invocations
  let corrects = !dense && has(params.flags, FLAG_MEAN);
  var rest_lo = vec4f(0.0);                              // what stands for a row that is not read
  var rest_hi = vec4f(0.0);
  var measured = false;
  if (corrects && lid < SLICE_WORDS) {
    let rest = params.batch * QUERY_HEADS * params.splits * PART + head * PART;
    rest_lo = part_out[rest + word * V4];
    if (V4 == 2u) { rest_hi = part_out[rest + word * V4 + 1u]; }
    measured = part_out[rest + PART - 1u].x > 0.0;
  }
  var state: HeadState;
  var group_state: GroupState;
  let length = u32(lengths[wid.y]) + params.length_bias;
  let keeps = lid == WG - 1u && slice == 0u && !dense;   // the invocation that keeps the figures
  if (keeps) {
    state = heads_state[head];
    group_state = groups_state[wid.y * KV_HEADS + own / GROUP];
  }

  // An invocation adds up a vec4f of every ADDERS-th split, relative to the largest of their maxima.
  let adder = lid / SLICE_VECS;
  let vec = lid % SLICE_VECS;
  var top = LOWEST;
  var sum = 0.0;
  var out = vec4f(0.0);
  var stat = vec4f(0.0);                                 // (kept mass, kept, union, 0); counts are exact up to 2^24
  if (adder < ADDERS) {
    for (var start = adder; start < params.splits; start += LOADS * ADDERS) {
      var softmax: array<vec2f, LOADS>;
      var outs: array<vec4f, LOADS>;
      var stats: array<vec4f, LOADS>;
      for (var j = 0u; j < LOADS; j++) { // unroll
        let split = base + min(start + j * ADDERS, params.splits - 1u);
        softmax[j] = partials[split];
        outs[j] = part_out[split * PART + slice * SLICE_VECS + vec];
        if (!dense) { stats[j] = part_out[split * PART + PART - 1u]; }
      }
      let before = top;
      for (var j = 0u; j < LOADS; j++) { // unroll
        if (start + j * ADDERS < params.splits) { top = max(top, softmax[j].x); }
      }
      let scale = exp(before - top);
      sum *= scale;
      out *= scale;
      stat.x *= scale;
      for (var j = 0u; j < LOADS; j++) { // unroll
        if (start + j * ADDERS < params.splits) {
          let factor = exp(softmax[j].x - top);
          sum += factor * softmax[j].y;
          out += factor * outs[j];
          stat += stats[j] * vec4f(factor, 1.0, 1.0, 1.0);
        }
      }
    }
  }
  // The adders' sums: those of neighbouring ones by exchanges, 2^MERGES to one, the rest in workgroup memory.
  let own_top = top;
  for (var i = 0u; i < MERGES; i++) { top = max(top, from_lane(vec4f(top), SLICE_VECS << i).x); } // unroll
  let scale = exp(own_top - top);
  sum *= scale;
  out *= scale;
  stat.x *= scale;
  for (var i = 0u; i < MERGES; i++) { // unroll
    out += from_lane(out, SLICE_VECS << i);
    stat = vec4f(stat.xyz, sum);
    stat += from_lane(stat, SLICE_VECS << i);
    sum = stat.w;
  }
  if (adder < ADDERS && (adder & ((1u << MERGES) - 1u)) == 0u) {
    let entry = adder >> MERGES;
    entry_out[entry * SLICE_VECS + vec] = out;
    if (vec == 0u) {
      entry_softmax[entry] = vec2f(top, sum);
      entry_stat[entry] = stat;
    }
  }
  workgroupBarrier();
  if (lid >= SLICE_WORDS && !keeps) { return; }           // SLICE_WORDS < WG
  top = LOWEST;
  for (var e = 0u; e < ENTRIES; e++) { top = max(top, entry_softmax[e].x); }
  var l = 0.0;
  var lo = vec4f(0.0);
  var hi = vec4f(0.0);
  stat = vec4f(0.0);
  for (var e = 0u; e < ENTRIES; e++) {
    let factor = exp(entry_softmax[e].x - top);
    l += factor * entry_softmax[e].y;
    stat += entry_stat[e] * vec4f(factor, 1.0, 1.0, 1.0);
    lo += factor * entry_out[e * SLICE_VECS + (lid * V4) % SLICE_VECS];
    if (V4 == 2u) { hi += factor * entry_out[e * SLICE_VECS + (lid * V4 + 1u) % SLICE_VECS]; }
  }
  if (lid == 0u && slice == 0u) { store_lse(head, vec2f(top, l)); }
  let mass = select(stat.x, l, dense);
  if (lid < SLICE_WORDS) {
    let lost = max(l - mass, 0.0);
    // A cache whose moments were not measured: what was kept stands for all.
    let renormalises = has(params.flags, FLAG_RENORMALISE) || (corrects && !measured);
    let denominator = select(l, mass, renormalises);
    let inverse = select(0.0, 1.0 / denominator, denominator > 0.0);
    output[head * WORDS + word] = pack_word((lo + lost * rest_lo) * inverse, (hi + lost * rest_hi) * inverse);
  }

  if (keeps) {
    let kept_rows = u32(stat.y);
    state.log_eta = log_threshold(state.status, state.log_alpha, state.beta, length);
    state.kept_last = kept_rows;
    state.length_last = length;
    state.mass_last = mass / l;
    state.kept_lo += kept_rows;
    state.kept_hi += u32(state.kept_lo < kept_rows);
    state.rows_lo += length;
    state.rows_hi += u32(state.rows_lo < length);
    state.mass_sum += mass / l;
    state.ema = select(0.9 * state.ema + 0.1 * state.mass_last, state.mass_last, state.age == 0u);
    state.steps += 1u;
    state.age += 1u;
    // The guard (src/tracker/guard.ts): a head that lost half of its probability keeps every row until the next fit.
    if (has(params.flags, FLAG_GUARD) && state.status == FITTED && state.age > 16u && !(state.ema >= 0.5)) {
      state.status = GUARDED;
    }
    if (own % GROUP == 0u) {
      let union_rows = u32(stat.z);
      let g = wid.y * KV_HEADS + own / GROUP;
      group_state.union_last = union_rows;
      group_state.union_lo += union_rows;
      group_state.union_hi += u32(group_state.union_lo < union_rows);
      groups_state[g] = group_state;
    }
    heads_state[head] = state;
  }
}
