// Learning: the exact threshold of this step for one head, by radix select over the scores' bit patterns (positive and
// negative floats order like their bits once the sign is folded in), recorded in the window; at the window's end the power
// law is fitted. quantile: the order statistic at floor(tau * (S - 1)). mass: the largest threshold that drops at most
// epsilon of the probability. Thresholds are kept as logarithms: s - max - log(sum) cannot underflow.
// Grid: (QUERY_HEADS, batch).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;                   // [batch]
@group(0) @binding(2) var<storage, read> scores: array<f32>;                    // [batch, QUERY_HEADS, score_stride]
@group(0) @binding(3) var<storage, read> partials: array<vec2f>;                // [batch, QUERY_HEADS, splits]
@group(0) @binding(4) var<storage, read_write> heads_state: array<HeadState>;   // [batch, QUERY_HEADS]
@group(0) @binding(5) var<storage, read_write> window: array<vec2f>;            // [batch, QUERY_HEADS, params.window] (log x, log theta)

const MASS_ONE = 2147483648.0;           // probabilities are summed as 2^-31ths, so that atomics can add them
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> chosen: u32;
var<workgroup> below: u32;

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
  let m = softmax.x;
  let l = softmax.y;

  let by_mass = has(params.flags, FLAG_MASS);
  var rank = u32(floor(params.target_value * f32(length - 1u)));
  if (by_mass) { rank = u32(params.target_value * MASS_ONE); }
  var prefix = 0u;
  for (var round = 0u; round < 4u; round++) {
    let shift = 24u - 8u * round;
    for (var i = lid; i < 256u; i += WG) { atomicStore(&bins[i], 0u); }
    workgroupBarrier();
    for (var key = lid; key < length; key += WG) {
      let s = scores[head * params.score_stride + key];
      let bits = sortable(s);
      if (round == 0u || (bits >> (shift + 8u)) == prefix) {
        let unit = select(1u, u32(exp(s - m) / l * MASS_ONE), by_mass);
        atomicAdd(&bins[(bits >> shift) & 255u], unit);
      }
    }
    workgroupBarrier();
    if (lid == 0u) {
      // The bin that holds the wanted rank: the first whose running count passes it.
      var seen = 0u;
      var bin = 255u;
      var last = 0u;                                    // last bin that is not empty: the answer where rounding leaves none
      for (var i = 0u; i < 256u; i++) {
        let n = atomicLoad(&bins[i]);
        if (n > 0u) { last = i; }
        if (seen + n > rank) { bin = i; break; }
        if (i == 255u) { bin = last; break; }
        seen += n;
      }
      chosen = bin;
      below = seen;
    }
    workgroupBarrier();
    prefix = (prefix << 8u) | chosen;
    rank -= min(rank, below);
    workgroupBarrier();
  }

  if (lid == 0u) {
    let log_theta = unsortable(prefix) - m - log(l);
    let x = log(select(f32(params.step), f32(length), has(params.flags, FLAG_LENGTH_AXIS)));
    window[head * params.window + params.window_index] = vec2f(x, log_theta);
    if (has(params.flags, FLAG_FIT)) { fit(head); }
  }
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
