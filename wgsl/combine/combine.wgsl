// Merges what the splits of each head left into the attention output. The outputs of splits are relative to their own softmax maxima. Their
// sum, with the correction for the dropped mass (correction.wgsl), is divided by the softmax sum over all keys; where the policy
// renormalises, there is no correction, and the divisor is the kept mass. In a layer with attention sinks the output is also multiplied by
// the share that the keys have of the whole (sinks-read.wgsl).
// A head has SLICES workgroups, each with a slice of the row. After a sifted step, FIGURE_WORKGROUPS more come first, which update the
// heads' figures (figures.wgsl).
// Grid: (QUERY_HEADS * SLICES, batch) after a dense step, (FIGURE_WORKGROUPS + QUERY_HEADS * SLICES, batch) after a sifted one.
// Buffers: lengths, split_softmax, split_output, layer_state (written), groups_state (written), output (written)
// Constants: VECS, SLICES, WORDS, ADDERS, MERGES, WG, FIGURE_WORKGROUPS, FIGURE_HEADS, FIGURE_LANES, QUERY_HEADS
// Constants: SPLIT_VECS, V4, LOADS

const SLICE_VECS = VECS / SLICES;
const SLICE_WORDS = WORDS / SLICES;
// An adder is SLICE_VECS neighbouring invocations. It adds up every ADDERS-th split. An entry is what 2^MERGES adders have together.
const ENTRIES = ADDERS >> MERGES;
var<workgroup> entry_softmax: array<vec4f, ENTRIES>;            // (maximum, softmax sum, kept mass, 0)
var<workgroup> entry_out: array<vec4f, ENTRIES * SLICE_VECS>;   // the output, relative to that maximum

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let dense = has(params.flags, FLAG_DENSE);
  let figure_workgroups = select(FIGURE_WORKGROUPS, 0u, dense);
  if (wid.x < figure_workgroups) {
    keep_figures(wid.x * FIGURE_HEADS + lid / FIGURE_LANES, wid.y, lid % FIGURE_LANES);
    return;
  }
  let own = (wid.x - figure_workgroups) / SLICES;                   // head within the sequence
  let slice = (wid.x - figure_workgroups) % SLICES;
  let head = wid.y * QUERY_HEADS + own;
  let base = head * params.splits;

  // All loads begin before the first is waited for, because a chain of loads takes longer than all the arithmetic here.
  let word = slice * SLICE_WORDS + lid;                   // of the output, for the first SLICE_WORDS invocations
  let corrects = !dense && has(params.flags, FLAG_CORRECT);
  var correction_lo = vec4f(0.0);
  var correction_hi = vec4f(0.0);
  var measured = false;                                  // the moments that the correction comes from were measured
  if (corrects && lid < SLICE_WORDS) {
    let correction_at = params.batch * QUERY_HEADS * params.splits * SPLIT_VECS + head * SPLIT_VECS;
    correction_lo = split_output[correction_at + word * V4];
    if (V4 == 2u) { correction_hi = split_output[correction_at + word * V4 + 1u]; }
    measured = split_output[correction_at + SPLIT_VECS - 1u].x > 0.0;
  }

  // Each invocation adds up its vec4f of every ADDERS-th split, relative to the largest maximum of these splits.
  let adder = lid / SLICE_VECS;
  let vec = lid % SLICE_VECS;
  var top = LOWEST;
  var sum = vec2f(0.0);                                  // (softmax sum, kept mass)
  var out = vec4f(0.0);
  if (adder < ADDERS) {
    for (var start = adder; start < params.splits; start += LOADS * ADDERS) {
      var softmax: array<vec2f, LOADS>;
      var outs: array<vec4f, LOADS>;
      var masses: array<f32, LOADS>;
      for (var j = 0u; j < LOADS; j++) { // unroll
        let split = base + min(start + j * ADDERS, params.splits - 1u);
        softmax[j] = split_softmax[split];
        outs[j] = split_output[split * SPLIT_VECS + slice * SLICE_VECS + vec];
        if (!dense) { masses[j] = split_output[split * SPLIT_VECS + SPLIT_VECS - 1u].x; }
      }
      let before = top;
      for (var j = 0u; j < LOADS; j++) { // unroll
        if (start + j * ADDERS < params.splits) { top = max(top, softmax[j].x); }
      }
      let scale = exp(before - top);
      sum *= scale;
      out *= scale;
      for (var j = 0u; j < LOADS; j++) { // unroll
        if (start + j * ADDERS < params.splits) {
          let factor = exp(softmax[j].x - top);
          sum += factor * vec2f(softmax[j].y, masses[j]);
          out += factor * outs[j];
        }
      }
    }
  }
  // Neighbouring adders add up their sums by exchanges between lanes. What 2^MERGES of them have becomes an entry of workgroup memory.
  let own_top = top;
  for (var i = 0u; i < MERGES; i++) { // unroll
    top = max(top, from_lane(vec4f(top), SLICE_VECS << i).x);
  }
  let scale = exp(own_top - top);
  sum *= scale;
  out *= scale;
  for (var i = 0u; i < MERGES; i++) { // unroll
    out += from_lane(out, SLICE_VECS << i);
    sum += from_lane(vec4f(sum, 0.0, 0.0), SLICE_VECS << i).xy;
  }
  if (adder < ADDERS && (adder & ((1u << MERGES) - 1u)) == 0u) {
    let entry = adder >> MERGES;
    entry_out[entry * SLICE_VECS + vec] = out;
    if (vec == 0u) { entry_softmax[entry] = vec4f(top, sum, 0.0); }
  }
  workgroupBarrier();
  if (lid >= SLICE_WORDS) { return; }
  // The entries become one output. From here on, an invocation has one storage word of it.
  top = LOWEST;
  for (var e = 0u; e < ENTRIES; e++) { top = max(top, entry_softmax[e].x); }
  sum = vec2f(0.0);
  var lo = vec4f(0.0);
  var hi = vec4f(0.0);
  for (var e = 0u; e < ENTRIES; e++) {
    let factor = exp(entry_softmax[e].x - top);
    sum += factor * entry_softmax[e].yz;
    lo += factor * entry_out[e * SLICE_VECS + (lid * V4) % SLICE_VECS];
    if (V4 == 2u) { hi += factor * entry_out[e * SLICE_VECS + (lid * V4 + 1u) % SLICE_VECS]; }
  }
  let l = sum.x;
  let mass = select(sum.y, l, dense);
  if (lid == 0u && slice == 0u) { store_lse(head, vec2f(top, l)); }
  let lost = max(l - mass, 0.0);
  // Where the moments were never measured there is no correction, and the output is renormalised instead.
  let renormalises = has(params.flags, FLAG_RENORMALISE) || (corrects && !measured);
  let factor = output_factor(own, select(l, mass, renormalises), vec2f(top, l));
  output[head * WORDS + word] = pack_word((lo + lost * correction_lo) * factor, (hi + lost * correction_hi) * factor);
}
