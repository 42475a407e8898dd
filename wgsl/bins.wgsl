// Bins of scores for the quantile: linear in the score, SCORE_BINS of them over the 32 nats below a head's maximum; what lies lower
// shares the first. A higher score is never in a lower bin.
const MASS_ONE = 2147483648.0;           // probabilities are summed as 2^-31ths, so that atomics can add them

fn score_bin(s: f32, top: f32) -> u32 {
  return SCORE_BINS - 1u - min(u32((top - s) * f32(SCORE_BINS / 32u)), SCORE_BINS - 1u);
}

// What a score adds to its bin: 1, or its probability.
fn score_unit(s: f32, softmax: vec2f, by_mass: bool) -> u32 {
  return select(1u, u32(exp(s - softmax.x) / softmax.y * MASS_ONE), by_mass);
}
