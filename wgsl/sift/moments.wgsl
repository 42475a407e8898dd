// Computes the moments of a KV head: the mean V row and Cov(v, k). The corrections of dropped rows come from them (correction.wgsl).
// With FLAG_STATISTICS it also measures the mean key and the deviation of each channel, which the shadow is encoded with.
// At most MOMENT_ROWS rows of the cache are taken, spread evenly. Sums are taken about the mean of a few rows (ORIGINS), which keeps them
// small. A workgroup computes the covariance of all of v with one vec4f of k. Slices of VECS invocations share the rows among themselves: each
// takes every SLICES-th row, several at a time, so that many loads are under way at once. In the first steps of a generation this time is felt.
// Grid: (VECS, KV_HEADS, batch).
// Buffers: lengths, keys, values, layer_state (written)
// Constants: WG, VECS, MOMENT_ROWS, MOMENTS, V4

const SLICES = WG / VECS;
const ROWS = 4u;                                         // rows that an invocation loads at a time
const LEAST_VARIANCE = 1e-12;                            // a channel that does not change must not be divided by 0
const ORIGINS = 16u;                                     // rows whose mean the sums are taken about
var<workgroup> of_slices: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let batch = wid.z;
  let kv_head = wid.y;
  let length = u32(lengths[batch]) + params.length_bias;
  let rows = min(length, MOMENT_ROWS);
  let of_k = wid.x;                                      // vec4f of k
  let of_v = lid % VECS;                                 // vec4f of v
  let slice = lid / VECS;                                // SLICES in invocations that are left over
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
  let end = select(0u, rows, slice < SLICES);
  for (var base = slice; base < end; base += SLICES * ROWS) {
    var dk: array<vec4f, 4>;
    var dv: array<vec4f, 4>;
    for (var j = 0u; j < 4u; j++) { // unroll
      let row = base + j * SLICES;
      let key = spread(min(row, rows - 1u), rows, length);
      let is_row = row < rows;
      dk[j] = select(vec4f(0.0), key_vec(batch, kv_head, key, of_k) - k_origin, is_row);
      dv[j] = select(vec4f(0.0), value_vec(batch, kv_head, key, of_v) - v_origin, is_row);
    }
    for (var j = 0u; j < 4u; j++) { // unroll
      k_sum += dk[j];
      k_square += dk[j] * dk[j];
      v_sum += dv[j];
      product[0] += dk[j].x * dv[j];
      product[1] += dk[j].y * dv[j];
      product[2] += dk[j].z * dv[j];
      product[3] += dk[j].w * dv[j];
    }
  }
  let n = f32(rows);
  let k_mean = sum_of_slices(k_sum, lid) / n;
  let v_mean = sum_of_slices(v_sum, lid) / n;
  let k_variance = sum_of_slices(k_square, lid) / n - k_mean * k_mean;
  let at = moments_begin(batch, kv_head);
  for (var e = 0u; e < 4u; e++) { // unroll
    let covariance = sum_of_slices(product[e], lid) / n - k_mean[e] * v_mean;
    if (slice == 0u) { layer_state[at + VECS + (4u * of_k + e) * VECS + of_v] = bitcast<vec4u>(covariance); }
  }
  if (lid == 0u && has(params.flags, FLAG_STATISTICS)) {
    let to = statistics_begin(batch, kv_head) + of_k;
    layer_state[to] = bitcast<vec4u>(k_origin + k_mean);
    layer_state[to + VECS] = bitcast<vec4u>(sqrt(max(k_variance, vec4f(LEAST_VARIANCE))));
  }
  if (of_k == 0u && slice == 0u) { layer_state[at + of_v] = bitcast<vec4u>(v_origin + v_mean); }
  if (of_k == 0u && lid == 0u) { layer_state[at + MOMENTS - 1u] = bitcast<vec4u>(vec4f(n, 0.0, 0.0, 0.0)); }
}

// The sum over all slices, for the invocations of the first one. The others get what they must not use.
fn sum_of_slices(value: vec4f, lid: u32) -> vec4f {
  workgroupBarrier();                                    // the sum before has been read
  of_slices[lid] = value;
  workgroupBarrier();
  var sum = vec4f(0.0);
  for (var i = lid % VECS; i < SLICES * VECS; i += VECS) { sum += of_slices[i]; }
  return sum;
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
