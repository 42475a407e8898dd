// Computes the moments of a KV head: the mean V row and Cov(v, k). The corrections of dropped rows come from them (correction.wgsl).
// With FLAG_STATISTICS it also measures the mean key and the deviation of each channel, which the shadow is encoded with.
// At most MOMENT_ROWS rows of the cache are taken, spread evenly. Sums are taken about the mean of a few rows (ORIGINS), which keeps them
// small. A workgroup computes the covariance of all of v with COLUMNS vec4f of k.
// Grid: (ceil(VECS / COLUMNS), KV_HEADS, batch).
// Buffers: lengths, keys, values, layer_state (written)
// Constants: WG, VECS, MOMENT_ROWS, MOMENTS, V4

const COLUMNS = max(1u, WG / VECS);
const STAGE = max(1u, min(16u, 256u / VECS));            // rows that are brought into workgroup memory at a time
const LEAST_VARIANCE = 1e-12;                            // a channel that does not change must not be divided by 0
const ORIGINS = 16u;                                     // rows whose mean the sums are taken about
var<workgroup> k_stage: array<vec4f, STAGE * VECS>;
var<workgroup> v_stage: array<vec4f, STAGE * VECS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let batch = wid.z;
  let kv_head = wid.y;
  let length = u32(lengths[batch]) + params.length_bias;
  let rows = min(length, MOMENT_ROWS);
  let column = wid.x * COLUMNS + lid / VECS;             // vec4f of k
  let of_k = min(column, VECS - 1u);
  let of_v = lid % VECS;                                 // vec4f of v
  var k_origin = vec4f(0.0);
  var v_origin = vec4f(0.0);
  for (var i = 0u; i < ORIGINS; i++) {
    let key = spread(i, ORIGINS, length);
    k_origin += key_vec(batch, kv_head, key, of_k) / f32(ORIGINS);
    v_origin += value_vec(batch, kv_head, key, of_v) / f32(ORIGINS);
  }
  var product: array<vec4f, 4>;                          // sums of dk[e] * dv
  var k_sum = vec4f(0.0);
  var k_square = vec4f(0.0);
  var v_sum = vec4f(0.0);
  for (var base = 0u; base < rows; base += STAGE) {
    workgroupBarrier();
    for (var i = lid; i < STAGE * VECS; i += WG) {
      let key = spread(min(base + i / VECS, rows - 1u), rows, length);
      k_stage[i] = key_vec(batch, kv_head, key, i % VECS);
      v_stage[i] = value_vec(batch, kv_head, key, i % VECS);
    }
    workgroupBarrier();
    for (var r = 0u; r < min(STAGE, rows - base); r++) {
      let dk = k_stage[r * VECS + of_k] - k_origin;
      let dv = v_stage[r * VECS + of_v] - v_origin;
      k_sum += dk;
      k_square += dk * dk;
      v_sum += dv;
      product[0] += dk.x * dv;
      product[1] += dk.y * dv;
      product[2] += dk.z * dv;
      product[3] += dk.w * dv;
    }
  }
  let n = f32(rows);
  let at = moments_begin(batch, kv_head);
  if (column < VECS && lid < COLUMNS * VECS) {
    let k_mean = k_sum / n;
    let v_mean = v_sum / n;
    for (var e = 0u; e < 4u; e++) {
      layer_state[at + VECS + (4u * column + e) * VECS + of_v] = bitcast<vec4u>(product[e] / n - k_mean[e] * v_mean);
    }
    if (has(params.flags, FLAG_STATISTICS) && of_v == 0u) {
      let to = statistics_begin(batch, kv_head) + column;
      layer_state[to] = bitcast<vec4u>(k_origin + k_mean);
      layer_state[to + VECS] = bitcast<vec4u>(sqrt(max(k_square / n - k_mean * k_mean, vec4f(LEAST_VARIANCE))));
    }
    if (column == 0u) { layer_state[at + of_v] = bitcast<vec4u>(v_origin + v_mean); }
    if (column == 0u && of_v == 0u) { layer_state[at + MOMENTS - 1u] = bitcast<vec4u>(vec4f(n, 0.0, 0.0, 0.0)); }
  }
}

fn half_word(word: Word, second: bool) -> vec4f {
  if (second) { return word_hi(word); }
  return word_lo(word);
}
fn key_vec(batch: u32, kv_head: u32, key: u32, vec: u32) -> vec4f {
  return half_word(keys[k_row(batch, kv_head, key) + vec / V4], vec % V4 == 1u);
}
fn value_vec(batch: u32, kv_head: u32, key: u32, vec: u32) -> vec4f {
  return half_word(values[v_row(batch, kv_head, key) + vec / V4], vec % V4 == 1u);
}
