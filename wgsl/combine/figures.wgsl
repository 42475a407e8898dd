// Updates the figures (running statistics) and the guard of a head after a sifted step. Separate workgroups of combine do this, because the
// output does not need it and would only be later. FIGURE_LANES neighbouring invocations serve one head.
// Constants: GUARD_DECAY, GUARD_GRACE_STEPS, GUARD_LEAST_MASS
// Constants: QUERY_HEADS, KV_HEADS, GROUP, FIGURE_LANES, SPLIT_VECS

fn keep_figures(own: u32, batch: u32, lane: u32) {
  let real = min(own, QUERY_HEADS - 1u);                 // the last workgroup may have room for more heads than there are
  let head = batch * QUERY_HEADS + real;
  let base = head * params.splits;
  let group = batch * KV_HEADS + real / GROUP;
  let length = u32(lengths[batch]) + params.length_bias;
  // The state is loaded and stored by whole vectors. Field by field, the dispatch waited for these loads and stores of one invocation.
  let at = head * HEAD_VECS;
  var fit = layer_state[at];                             // (log_alpha, beta, r2, status)
  var total = layer_state[at + 2u];                      // (kept_lo, kept_hi, rows_lo, rows_hi)
  let past = layer_state[at + 3u];                       // (mass_sum, ema, steps, age)
  var whole = groups_state[group];                       // V rows read: (of all steps, low and high word, of the last step, 0)
  let log_eta = log_threshold(fit.w, bitcast<f32>(fit.x), bitcast<f32>(fit.y), length);
  var top = LOWEST;
  var sums = vec4f(0.0);                                 // (softmax sum, kept mass, kept rows, rows read); counts are exact up to 2^24
  for (var start = lane; start < params.splits; start += 4u * FIGURE_LANES) {
    var softmax: array<vec2f, 4>;
    var stat: array<vec4f, 4>;
    for (var j = 0u; j < 4u; j++) { // unroll
      let split = base + min(start + j * FIGURE_LANES, params.splits - 1u);
      softmax[j] = split_softmax[split];
      stat[j] = split_output[split * SPLIT_VECS + SPLIT_VECS - 1u];
    }
    let before = top;
    for (var j = 0u; j < 4u; j++) { // unroll
      if (start + j * FIGURE_LANES < params.splits) { top = max(top, softmax[j].x); }
    }
    sums *= vec4f(vec2f(exp(before - top)), 1.0, 1.0);
    for (var j = 0u; j < 4u; j++) { // unroll
      if (start + j * FIGURE_LANES < params.splits) {
        sums += vec4f(softmax[j].y, stat[j].xyz) * vec4f(vec2f(exp(softmax[j].x - top)), 1.0, 1.0);
      }
    }
  }
  sums = figure_sum(top, sums, lane);
  if (lane != 0u || own >= QUERY_HEADS) { return; }

  let mass = sums.y / sums.x;
  let kept_rows = u32(sums.z);
  let mass_sum = bitcast<f32>(past.x) + mass;
  let age = past.w + 1u;
  let ema = select(GUARD_DECAY * bitcast<f32>(past.y) + (1.0 - GUARD_DECAY) * mass, mass, past.w == 0u);
  total.x += kept_rows;
  total.y += u32(total.x < kept_rows);
  total.z += length;
  total.w += u32(total.z < length);
  layer_state[at + 1u] = vec4u(bitcast<u32>(log_eta), kept_rows, length, bitcast<u32>(mass));
  layer_state[at + 2u] = total;
  layer_state[at + 3u] = vec4u(bitcast<u32>(mass_sum), bitcast<u32>(ema), past.z + 1u, age);
  // The guard (src/oracle/guard.ts has the same): a head whose kept mass is on average below GUARD_LEAST_MASS keeps every row until its
  // next fit. An average that is not a number counts at once. Its bits are looked at, because a compiler may assume that there is none.
  let lost = (bitcast<u32>(ema) & 0x7fffffffu) > 0x7f800000u || (age > GUARD_GRACE_STEPS && ema < GUARD_LEAST_MASS);
  if (has(params.flags, FLAG_GUARD) && fit.w == FITTED && lost) {
    fit.w = GUARDED;
    layer_state[at] = fit;
  }
  if (own % GROUP == 0u) {
    let union_rows = u32(sums.w);
    whole.x += union_rows;
    whole.y += u32(whole.x < union_rows);
    whole.z = union_rows;
    groups_state[group] = whole;
  }
}
