/**
 * Numbers of a standard normal distribution.
 * @param {number} count
 */
export const normals = (count) =>
  Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );

/**
 * softmax(q · k / √headSize) · V in double precision, for one token: [queryHeads, headSize].
 * @param {Float32Array} q
 * @param {Float32Array} keys
 * @param {Float32Array} values
 * @param {{ queryHeads: number, kvHeads: number, headSize: number }} shape
 * @param {number} length
 */
export function plainAttention(q, keys, values, { queryHeads, kvHeads, headSize }, length) {
  const output = new Float64Array(queryHeads * headSize);
  for (let head = 0; head < queryHeads; head++) {
    // Neighbouring query heads share a KV head.
    const first = Math.floor((head * kvHeads) / queryHeads) * length * headSize;
    const scores = new Float64Array(length);
    for (let key = 0; key < length; key++) {
      for (let i = 0; i < headSize; i++)
        scores[key] += (q[head * headSize + i] * keys[first + key * headSize + i]) / Math.sqrt(headSize);
    }
    const largest = scores.reduce((a, b) => Math.max(a, b));
    const weights = scores.map((score) => Math.exp(score - largest));
    const total = weights.reduce((a, b) => a + b);
    for (let key = 0; key < length; key++) {
      for (let i = 0; i < headSize; i++)
        output[head * headSize + i] += (weights[key] / total) * values[first + key * headSize + i];
    }
  }
  return output;
}

/**
 * The norm of a difference, relative to what is expected.
 * @param {Float32Array} found
 * @param {Float64Array} expected
 */
export function difference(found, expected) {
  const errors = expected.map((value, i) => found[i] - value);
  return Math.hypot(...errors) / Math.hypot(...expected);
}
