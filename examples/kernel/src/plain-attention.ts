/** Numbers of a standard normal distribution. */
export const normals = (count: number): Float32Array =>
  Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );

/** softmax(q · k / √headSize) · V in double precision, for one token: [queryHeads, headSize]. */
export function plainAttention(
  q: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  { queryHeads, kvHeads, headSize }: { queryHeads: number; kvHeads: number; headSize: number },
  length: number,
): Float64Array {
  const output = new Float64Array(queryHeads * headSize);
  for (let head = 0; head < queryHeads; head++) {
    // Neighbouring query heads share a KV head.
    const first = Math.floor((head * kvHeads) / queryHeads) * length * headSize;
    const scores = new Float64Array(length);
    let largest = Number.NEGATIVE_INFINITY;
    for (let key = 0; key < length; key++) {
      let sum = 0;
      for (let i = 0; i < headSize; i++) sum += q[head * headSize + i]! * keys[first + key * headSize + i]!;
      scores[key] = sum / Math.sqrt(headSize);
      largest = Math.max(largest, scores[key]!);
    }
    let total = 0;
    for (let key = 0; key < length; key++) {
      const weight = Math.exp(scores[key]! - largest);
      total += weight;
      for (let i = 0; i < headSize; i++)
        output[head * headSize + i]! += weight * values[first + key * headSize + i]!;
    }
    for (let i = 0; i < headSize; i++) output[head * headSize + i]! /= total;
  }
  return output;
}

/** The norm of a difference, relative to what is expected. */
export function difference(found: Float32Array, expected: Float64Array): number {
  const errors = expected.map((value, i) => found[i]! - value);
  return Math.hypot(...errors) / Math.hypot(...expected);
}
