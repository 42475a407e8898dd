// The threshold of a head as a natural logarithm: log eta = log alpha + beta * log x (paper: eta = alpha * x^beta), with x the
// decode step or the cache length. LOWEST: keep every row.

fn log_threshold(status: u32, log_alpha: f32, beta: f32, length: u32) -> f32 {
  if (has(params.flags, FLAG_DENSE)) { return LOWEST; }
  let x = select(f32(params.step), f32(length), has(params.flags, FLAG_LENGTH_AXIS));
  if (has(params.flags, FLAG_ANALYTIC)) { return params.log_alpha + params.beta * log(x); }
  if (status != FITTED) { return LOWEST; }
  return log_alpha + beta * log(x);
}
