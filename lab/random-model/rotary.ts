/** Positions whose values are made at a time. */
const BLOCK = 1024;

/**
 * The table of a rotary embedding's cosines or sines, [positions, headSize / 2], in blocks of rows. Within a block the values follow from
 * those of its first row and of the first block by the addition theorems, which is ten times as fast as a call for each.
 */
export function* rotaryTable(
  kind: 'cos' | 'sin',
  positions: number,
  headSize: number,
  theta: number,
): Generator<Float32Array<ArrayBuffer>> {
  const half = headSize / 2;
  const frequencies = Array.from({ length: half }, (_, i) => theta ** ((-2 * i) / headSize));
  const rows = Math.min(BLOCK, positions);
  const [cos, sin] = [Math.cos, Math.sin].map((f) =>
    Float64Array.from({ length: rows * half }, (_, i) => f(Math.floor(i / half) * frequencies[i % half]!)),
  ) as [Float64Array, Float64Array];
  for (let first = 0; first < positions; first += BLOCK) {
    const values = new Float32Array(Math.min(BLOCK, positions - first) * half);
    for (let i = 0; i < half; i++) {
      const angle = first * frequencies[i]!;
      // cos(a + b) = cos a cos b - sin a sin b, and sin(a + b) = sin a cos b + cos a sin b.
      const a = kind === 'cos' ? Math.cos(angle) : Math.sin(angle);
      const b = kind === 'cos' ? -Math.sin(angle) : Math.cos(angle);
      for (let at = i; at < values.length; at += half) values[at] = a * cos[at]! + b * sin[at]!;
    }
    yield values;
  }
}
