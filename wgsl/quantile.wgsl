// Learning, second part: the exact threshold of this step for one head, recorded in the window; at the window's end the power law is
// fitted. quantile: the order statistic at floor(tau * (S - 1)). mass: the largest threshold that drops at most epsilon of the
// probability. The bins say in which of them it lies; the few scores of that bin are ranked among themselves. If they are not few
// (equal scores), a radix select over the bit patterns follows (floats order like their bits once the sign is folded in).
// Thresholds are kept as logarithms: s - max - log(sum) cannot underflow.
// Grid: (QUERY_HEADS, batch).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;                   // [batch]
@group(0) @binding(2) var<storage, read> scores: array<vec4f>;                  // [batch, QUERY_HEADS, score_stride / 4]
@group(0) @binding(3) var<storage, read> partials: array<vec2f>;                // [batch, QUERY_HEADS, splits]
@group(0) @binding(4) var<storage, read_write> bins: array<u32>;                // [batch, QUERY_HEADS, SCORE_BINS], left at zero
@group(0) @binding(5) var<storage, read_write> heads_state: array<HeadState>;   // [batch, QUERY_HEADS]
@group(0) @binding(6) var<storage, read_write> window: array<vec2f>;            // [batch, QUERY_HEADS, params.window] (log x, log theta)

const CANDIDATES = 1024u;
var<workgroup> candidates: array<f32, CANDIDATES>;
var<workgroup> count: atomic<u32>;
var<workgroup> found: u32;
var<workgroup> chosen: u32;
var<workgroup> below: u32;               // rank of the first score of the chosen bin
var<workgroup> answer: f32;
var<workgroup> digits: array<atomic<u32>, 256>;

fn sortable(s: f32) -> u32 {
  let bits = bitcast<u32>(s);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
fn unsortable(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  setup_reduce();
  let head = wid.y * QUERY_HEADS + wid.x;
  let length = u32(lengths[wid.y]) + params.length_bias;
  var part = vec2f(LOWEST, 0.0);
  for (var i = lid; i < params.splits; i += WG) { part = merge_softmax(part, partials[head * params.splits + i]); }
  let softmax = workgroup_softmax(part, lid);
  let by_mass = has(params.flags, FLAG_MASS);
  var rank = u32(floor(params.target_value * f32(length - 1u)));
  if (by_mass) { rank = u32(params.target_value * MASS_ONE); }

  var mine: array<u32, BINS_EACH>;
  var sum = 0u;
  for (var i = 0u; i < BINS_EACH; i++) { // unroll
    let at = lid * BINS_EACH + i;
    mine[i] = bins[head * SCORE_BINS + at];
    bins[head * SCORE_BINS + at] = 0u;
    sum += mine[i];
  }
  let place = workgroup_scan(sum, lid);
  if (lid == 0u) { atomicStore(&count, 0u); }
  let wanted = min(rank, max(place.y, 1u) - 1u);
  if (sum > 0u && place.x <= wanted && wanted < place.x + sum) {
    var seen = place.x;
    var done = false;
    for (var i = 0u; i < BINS_EACH; i++) { // unroll
      if (!done) {
        if (wanted < seen + mine[i]) {
          chosen = lid * BINS_EACH + i;
          below = seen;
          done = true;
        }
        seen += mine[i];
      }
    }
  }
  workgroupBarrier();

  let row = head * (params.score_stride / 4u);
  let final_vec = (length - 1u) / 4u;
  for (var start = lid; start <= final_vec; start += 8u * WG) {
    var eight: array<vec4f, 8>;
    for (var j = 0u; j < 8u; j++) { // unroll
      eight[j] = scores[row + min(start + j * WG, final_vec)];
    }
    for (var j = 0u; j < 8u; j++) { // unroll
      for (var e = 0u; e < 4u; e++) { // unroll
        let s = eight[j][e];
        if ((start + j * WG) * 4u + e < length && score_bin(s, softmax.x) == chosen) {
          let at = atomicAdd(&count, 1u);
          if (at < CANDIDATES) { candidates[at] = s; }
        }
      }
    }
  }
  workgroupBarrier();
  if (lid == 0u) { found = atomicLoad(&count); }
  let n = workgroupUniformLoad(&found);
  if (n <= CANDIDATES) {
    for (var i = lid; i < n; i += WG) {
      let s = candidates[i];
      var less = below;                                  // of the scores below s, and of those up to it
      var up_to = below;
      var largest = true;
      for (var j = 0u; j < n; j++) {
        let other = candidates[j];
        let unit = score_unit(other, softmax, by_mass);
        less += select(0u, unit, other < s);
        up_to += select(0u, unit, other <= s);
        largest = largest && other <= s;
      }
      if ((less <= wanted && wanted < up_to) || (largest && wanted >= up_to)) { answer = s; }
    }
    workgroupBarrier();
  } else {
    radix_select(length, row, softmax, by_mass, rank, lid);
  }

  if (lid == 0u) {
    let log_theta = answer - softmax.x - log(softmax.y);
    let x = log(select(f32(params.step), f32(length), has(params.flags, FLAG_LENGTH_AXIS)));
    window[head * params.window + params.window_index] = vec2f(x, log_theta);
    if (has(params.flags, FLAG_FIT)) { fit(head); }
  }
}

fn radix_select(length: u32, row: u32, softmax: vec2f, by_mass: bool, first_rank: u32, lid: u32) {
  var rank = first_rank;
  var prefix = 0u;
  for (var round = 0u; round < 4u; round++) {
    let shift = 24u - 8u * round;
    for (var i = lid; i < 256u; i += WG) { atomicStore(&digits[i], 0u); }
    workgroupBarrier();
    for (var key = lid; key < length; key += WG) {
      let s = scores[row + key / 4u][key % 4u];
      let bits = sortable(s);
      if (round == 0u || (bits >> (shift + 8u)) == prefix) {
        atomicAdd(&digits[(bits >> shift) & 255u], score_unit(s, softmax, by_mass));
      }
    }
    workgroupBarrier();
    if (lid == 0u) {
      // The digit that holds the wanted rank: the first whose running count passes it.
      var seen = 0u;
      var digit = 255u;
      var last = 0u;                                    // last digit that occurs: the answer where rounding leaves none
      for (var i = 0u; i < 256u; i++) {
        let n = atomicLoad(&digits[i]);
        if (n > 0u) { last = i; }
        if (seen + n > rank) { digit = i; break; }
        if (i == 255u) { digit = last; break; }
        seen += n;
      }
      chosen = digit;
      below = seen;
    }
    workgroupBarrier();
    prefix = (prefix << 8u) | chosen;
    rank -= min(rank, below);
    workgroupBarrier();
  }
  if (lid == 0u) { answer = unsortable(prefix); }
  workgroupBarrier();
}

// Least squares of log theta on log x, about the means. The exponent: free (beta_variance < 0), fixed (0), or shrunk to the
// prior mean by precision.
fn fit(head: u32) {
  let n = params.window_index + 1u;
  let base = head * params.window;
  var mean = vec2f(0.0);
  for (var i = 0u; i < n; i++) { mean += window[base + i]; }
  mean /= f32(n);
  var sxx = 0.0;
  var sxy = 0.0;
  var syy = 0.0;
  for (var i = 0u; i < n; i++) {
    let d = window[base + i] - mean;
    sxx += d.x * d.x; sxy += d.x * d.y; syy += d.y * d.y;
  }
  let slope = select(0.0, sxy / sxx, sxx > 0.0);
  var beta = slope;
  if (params.beta_variance == 0.0) {
    beta = params.beta;
  } else if (params.beta_variance > 0.0) {
    let noise = max((syy - slope * sxy) / f32(max(n, 3u) - 2u), 1e-12);
    beta = (sxy / noise + params.beta / params.beta_variance) / (sxx / noise + 1.0 / params.beta_variance);
  }
  let residual = max(0.0, syy - 2.0 * beta * sxy + beta * beta * sxx);
  var state = heads_state[head];
  state.log_alpha = mean.y - beta * mean.x;
  state.beta = beta;
  state.r2 = select(0.0, 1.0 - residual / syy, syy > 0.0);
  // A fit that is not a number keeps every row; so does, under the guard, a threshold that would rise without bound.
  let finite = abs(state.log_alpha) < 1e30 && abs(beta) < 1e30;
  state.status = select(UNFIT, FITTED, finite && !(has(params.flags, FLAG_GUARD) && beta > 0.0));
  state.age = 0u;
  heads_state[head] = state;
}
