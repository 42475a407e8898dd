// For layers with attention sinks. The sink of a head is a learned score that takes part in the sum of the softmax and has no V row. So the
// output over the keys is multiplied by the keys' share of the whole, 1 / (1 + exp(sink - lse)), where lse is the log-sum-exp of their
// scores. The sink is not scaled, and all sequences of a batch have the same. The share does not depend on which rows were read.
// own: the head within its sequence. softmax: (maximum, sum) over all keys. divisor: that sum, or the kept mass.
// Constants: V4

// The difference is held within this, where exp is finite in f32 and the share cannot be told from 0 or 1. So a sink of -infinity, which
// leaves the output as it is, and one above every score give finite numbers.
const FARTHEST_SINK = 80.0;
const LEAST_SUM = 1e-30;                 // what a sum of 0 counts as, whose logarithm would not be finite

fn output_factor(own: u32, divisor: f32, softmax: vec2f) -> f32 {
  let word = sinks[own / (4u * V4)];
  var four = word_lo(word);
  if (V4 == 2u && own % 8u >= 4u) { four = word_hi(word); }
  let above = four[own % 4u] - softmax.x - log(max(softmax.y, LEAST_SUM));
  let share = 1.0 / (1.0 + exp(clamp(above, -FARTHEST_SINK, FARTHEST_SINK)));
  return select(0.0, share / divisor, divisor > 0.0);
}
