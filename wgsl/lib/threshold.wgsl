// The threshold of a head, as the natural logarithm of a probability. It follows the power law of the paper, eta = alpha * x^beta, where x
// is the decode step or the number of keys. LOWEST means that the head keeps every row.

fn log_threshold(status: u32, log_alpha: f32, beta: f32, length: u32) -> f32 {
  if (has(params.flags, FLAG_DENSE)) { return LOWEST; }
  let x = select(f32(params.step), f32(length), has(params.flags, FLAG_LENGTH_AXIS));
  if (has(params.flags, FLAG_ANALYTIC)) { return params.log_alpha + params.beta * log(x); }
  if (status != FITTED) { return LOWEST; }
  return log_alpha + beta * log(x);
}
