/** Index of the largest logit: the most likely token. */
export function mostLikely(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** Natural logarithm of the sum of the exponentials, which takes logits to log-probabilities. */
function logSumExp(logits: Float32Array): number {
  const top = logits[mostLikely(logits)]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - top);
  return top + Math.log(sum);
}

/**
 * Kullback-Leibler divergence of what `other` predicts from what `exact` predicts, in nats: sum over p log(p / q).
 *
 * @param exact logits, [vocabulary]
 * @param other logits, [vocabulary]
 */
export function klDivergence(exact: Float32Array, other: Float32Array): number {
  const [shift, otherShift] = [logSumExp(exact), logSumExp(other)];
  let sum = 0;
  for (let i = 0; i < exact.length; i++) {
    const log = exact[i]! - shift;
    const p = Math.exp(log);
    // A token that cannot come counts for nothing, whatever the other says.
    if (p > 0) sum += p * (log - (other[i]! - otherShift));
  }
  // Rounding may bring equal predictions below zero.
  return Math.max(0, sum);
}
