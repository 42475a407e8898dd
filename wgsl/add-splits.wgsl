// A vec4f of a head's output, of every ADDERS-th of its splits, each relative to its own maximum: their sum relative to `top`.
//   ADDERS   splits added side by side, each by VECS invocations    LOADS   splits that an invocation asks for at a time
fn add_splits(base: u32, top: f32, lid: u32) -> vec4f {
  var sum = vec4f(0.0);
  for (var start = lid / VECS; start < params.splits; start += LOADS * ADDERS) {
    var loaded: array<vec4f, LOADS>;
    var tops: array<f32, LOADS>;
    for (var j = 0u; j < LOADS; j++) { // unroll
      let split = base + min(start + j * ADDERS, params.splits - 1u);
      loaded[j] = part_out[split * PART + lid % VECS];
      tops[j] = partials[split].x;
    }
    for (var j = 0u; j < LOADS; j++) { // unroll
      if (start + j * ADDERS < params.splits) { sum += exp(tops[j] - top) * loaded[j]; }
    }
  }
  return sum;
}
