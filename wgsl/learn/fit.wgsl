// Fits the power law of a head, log theta = log alpha + beta * log x, to the thresholds of its window by least squares about the means. The
// exponent beta is free (beta_variance < 0), fixed (0), or shrunk towards its prior mean: weighted with it by their precisions.

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
  var state = layer_state[head];
  state.log_alpha = mean.y - beta * mean.x;
  state.beta = beta;
  state.r2 = select(0.0, 1.0 - residual / syy, syy > 0.0);
  // A head whose fit is not a number keeps every row. So does, with the guard, one whose threshold would rise with x without bound.
  let finite = abs(state.log_alpha) < 1e30 && abs(beta) < 1e30;
  state.status = select(UNFIT, FITTED, finite && !(has(params.flags, FLAG_GUARD) && beta > 0.0));
  state.age = 0u;
  layer_state[head] = state;
}
