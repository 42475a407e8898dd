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
var<workgroup> sums: array<vec4f, ADDERS * SLICE_VECS>;
var<workgroup> factors: array<f32, MAX_SPLITS>;
var<workgroup> renormalises: u32;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  setup_reduce();
  let own = wid.x / SLICES;                               // head within the sequence
  let slice = wid.x % SLICES;
  let head = wid.y * QUERY_HEADS + own;
  let base = head * params.splits;
  let dense = has(params.flags, FLAG_DENSE);

  // At most one vec4f of each adder for an invocation: ADDERS * SLICE_VECS <= WG.
  let vec = slice * SLICE_VECS + lid % SLICE_VECS;
  let adds = lid < ADDERS * SLICE_VECS;
  let word = slice * SLICE_WORDS + lid;                   // of the output, for the first SLICE_WORDS invocations
  // Asked for early, used last, as the state below: a chain of loads takes longer than all the arithmetic here.
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

  var part = vec2f(LOWEST, 0.0);
  for (var i = lid; i < params.splits; i += WG) {
    let split = partials[base + i];
    factors[i] = split.x;
    part = merge_softmax(part, split);
  }
  var state: HeadState;
  var group_state: GroupState;
  let length = u32(lengths[wid.y]) + params.length_bias;
  let keeps = lid == WG - 1u && slice == 0u && !dense;   // the invocation that keeps the figures
  if (keeps) {
    state = heads_state[head];
    group_state = groups_state[wid.y * KV_HEADS + own / GROUP];
  }
  var first_stat = vec4f(0.0);
  if (!dense && lid < params.splits) { first_stat = part_out[(base + lid) * PART + PART - 1u]; }
  let softmax = workgroup_softmax(part, lid);            // a barrier for the factors, too
  let l = softmax.y;
  var stat = vec4f(l, 0.0, 0.0, 0.0);                    // (kept mass, kept, union, 0); counts are exact up to 2^24
  if (!dense) {
    stat = vec4f(0.0);
    if (lid < params.splits) { stat = first_stat * vec4f(exp(factors[lid] - softmax.x), 1.0, 1.0, 1.0); }
    for (var i = lid + WG; i < params.splits; i += WG) {
      stat += part_out[(base + i) * PART + PART - 1u] * vec4f(exp(factors[i] - softmax.x), 1.0, 1.0, 1.0);
    }
    stage_sum(stat, lid);
  }
  if (adds) {
    var sum = vec4f(0.0);
    for (var start = lid / SLICE_VECS; start < params.splits; start += LOADS * ADDERS) {
      // LOADS at a time are in flight.
      var loaded: array<vec4f, LOADS>;
      for (var j = 0u; j < LOADS; j++) { // unroll
        loaded[j] = part_out[(base + min(start + j * ADDERS, params.splits - 1u)) * PART + vec];
      }
      for (var j = 0u; j < LOADS; j++) { // unroll
        let split = start + j * ADDERS;
        if (split < params.splits) { sum += exp(factors[split] - softmax.x) * loaded[j]; }
      }
    }
    sums[lid] = sum;
  }
  // A cache whose moments were not measured: what was kept stands for all.
  if (lid == 0u) { renormalises = u32(has(params.flags, FLAG_RENORMALISE) || (corrects && !measured)); }
  workgroupBarrier();
  if (!dense) { stat = staged_sum(lid); }
  let mass = stat.x;
  let lost = max(l - mass, 0.0);
  let denominator = select(l, mass, renormalises != 0u);
  let inverse = select(0.0, 1.0 / denominator, denominator > 0.0);
  if (lid < SLICE_WORDS) {                                // SLICE_WORDS <= WG
    var lo = lost * rest_lo;
    var hi = lost * rest_hi;
    for (var s = 0u; s < ADDERS; s++) {
      lo += sums[s * SLICE_VECS + lid * V4];
      if (V4 == 2u) { hi += sums[s * SLICE_VECS + lid * V4 + 1u]; }
    }
    output[head * WORDS + word] = pack_word(lo * inverse, hi * inverse);
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
