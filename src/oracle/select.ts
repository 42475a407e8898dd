/**
 * Maps the bit pattern of an f32 to an unsigned 32-bit key in the same order as the numbers: the sign bit is
 * flipped for positive numbers, all bits for negative ones. -0 comes directly before +0.
 */
export function orderedKey(bits: number): number {
  return (bits & 0x80000000 ? ~bits : bits | 0x80000000) >>> 0;
}

/** The bit pattern that {@link orderedKey} maps to `key`. */
export function keyToBits(key: number): number {
  return (key & 0x80000000 ? key & 0x7fffffff : ~key) >>> 0;
}

/**
 * The k-th smallest of S f32 values, by radix select on their ordered bit patterns: four passes of 8 bits, O(S),
 * exact, and the input is left as it is. This is what the kernel does.
 *
 * @param values - not empty, no NaN
 * @param k - 0-based rank, 0..S-1
 */
export function selectF32(values: Float32Array, k: number): number {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  const counts = new Uint32Array(256);
  let prefix = 0;
  let rank = k;
  for (let shift = 24; shift >= 0; shift -= 8) {
    counts.fill(0);
    for (let i = 0; i < values.length; i++) {
      float[0] = values[i]!;
      const key = orderedKey(bits[0]!);
      // A shift by 32 is a shift by 0 in JavaScript: the first pass has no prefix to compare.
      if (shift === 24 || key >>> (shift + 8) === prefix) counts[(key >>> shift) & 0xff]!++;
    }
    let digit = 0;
    while (rank >= counts[digit]!) rank -= counts[digit++]!;
    prefix = ((prefix << 8) | digit) >>> 0;
  }
  bits[0] = keyToBits(prefix);
  return float[0]!;
}

/** Where {@link partition} put the rows equal to the pivot: [from, to). Smaller ones lie before, larger ones after. */
interface Equal {
  readonly pivot: number;
  readonly from: number;
  readonly to: number;
}

/** Three-way partition of a[low, high) around the median of its first, middle and last value, in place. */
export function partition(a: Float64Array, low: number, high: number): Equal {
  const x = a[low]!;
  const y = a[(low + high) >>> 1]!;
  const z = a[high - 1]!;
  const pivot = Math.max(Math.min(x, y), Math.min(Math.max(x, y), z));
  let from = low;
  let to = high;
  for (let i = low; i < to; ) {
    const value = a[i]!;
    if (value < pivot) {
      a[i++] = a[from]!;
      a[from++] = value;
    } else if (value > pivot) {
      a[i] = a[--to]!;
      a[to] = value;
    } else i++;
  }
  return { pivot, from, to };
}

/**
 * The k-th smallest of S f64 values by quickselect on a copy: O(S) expected.
 *
 * @param values - not empty, no NaN
 * @param k - 0-based rank, 0..S-1
 */
export function selectF64(values: ArrayLike<number>, k: number): number {
  const a = Float64Array.from(values);
  let low = 0;
  let high = a.length;
  for (;;) {
    const { pivot, from, to } = partition(a, low, high);
    if (k < from) high = from;
    else if (k >= to) low = to;
    else return pivot;
  }
}
