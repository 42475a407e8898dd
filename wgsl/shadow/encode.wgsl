// Encodes rows of K into the shadow (layout.wgsl). The mean key is taken off a row, and each channel is divided by its deviation, both as they
// were measured in the prompt (moments.wgsl). Then the row is rotated (hadamard.wgsl), so that no channel is an outlier. What is left is
// coded with 2 bits an element, relative to the row's root mean square. Queries are rotated likewise (query.wgsl), so that scores are the
// same but for the rounding.
// The newest params.encode_rows rows of each sequence are encoded, or all. A slot takes four neighbouring rows at a time, whose scales share
// a word. For this the first row is rounded down to a multiple of four. Rows that are encoded again get the same codes.
// Grid: (ceil((params.encode_rows + 3) / (4 SLOTS ENCODE_TURNS)), KV_HEADS, batch)
// Buffers: lengths, keys, layer_state, shadow (written)
// Constants: WG, SLOTS, LANES, LANE_WORDS, WORDS, V4, HEAD_SIZE, PLANES, CODE_VEC, ENCODE_TURNS, CODE_STEP, SHADOW_GROUP

const ROWS = 4u;                         // rows that a slot encodes together
const LEAST_SQUARE = 1e-20;              // keeps the logarithm of an empty row's scale finite

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let batch = wid.z;
  let kv_head = wid.y;
  let lane = lid % LANES;
  let rows = params.first_key + u32(lengths[batch]) + params.length_bias;
  let begin = (rows - min(params.encode_rows, rows)) / ROWS * ROWS;
  var mean: Elements;
  var factor: Elements;
  for (var n = 0u; n < LANE_WORDS; n++) { // unroll
    for (var v = 0u; v < V4; v++) { // unroll
      let vec = (lane + n * LANES) * V4 + v;
      if (vec * 4u < HEAD_SIZE) {
        mean[n * V4 + v] = mean_key(batch, kv_head, vec);
        factor[n * V4 + v] = channel_signs(4u * vec) / deviation(batch, kv_head, vec);
      }
    }
  }
  for (var turn = 0u; turn < ENCODE_TURNS; turn++) {
    // All lanes of a subgroup stay in the loop, because they exchange values.
    let first = begin + ((wid.x * ENCODE_TURNS + turn) * SLOTS + lid / LANES) * ROWS;
    encode_rows(first, rows, &mean, &factor, batch, kv_head, lane);
  }
}

// Encodes ROWS neighbouring rows from `first` on. Rows at and beyond `rows` do not exist.
fn encode_rows(
  first: u32, rows: u32, mean: ptr<function, Elements>, factor: ptr<function, Elements>, batch: u32, kv_head: u32, lane: u32,
) {
  var words: array<Word, ROWS * LANE_WORDS>;
  for (var j = 0u; j < 4u; j++) { // unroll
    let row = k_row(batch, kv_head, min(first + j, rows - 1u) - params.first_key);
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      words[j * LANE_WORDS + n] = keys[row + min(lane + n * LANES, WORDS - 1u)];
    }
  }
  var scales = 0u;
  for (var j = 0u; j < 4u; j++) { // unroll
    var x: Elements;
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      x[n * V4] = (word_lo(words[j * LANE_WORDS + n]) - (*mean)[n * V4]) * (*factor)[n * V4];
      if (V4 == 2u) { x[n * V4 + V4 - 1u] = (word_hi(words[j * LANE_WORDS + n]) - (*mean)[n * V4 + V4 - 1u]) * (*factor)[n * V4 + V4 - 1u]; }
    }
    hadamard(&x, lane);
    var square = vec4f(0.0);
    for (var i = 0u; i < LANE_WORDS * V4; i++) { // unroll
      square += x[i] * x[i];
    }
    let whole = lanes_sum(square);
    let mean_square = (whole.x + whole.y + whole.z + whole.w) / f32(HEAD_SIZE);
    let byte = u32(clamp(round(4.0 * log2(max(mean_square, LEAST_SQUARE))) + SCALE_ZERO, 0.0, 255.0));
    scales |= byte << (8u * j);
    let per_step = 1.0 / (CODE_STEP * scale_of(byte));
    let row = first + j;
    let at = codes_begin(batch, kv_head) + (row / SHADOW_GROUP * PLANES * SHADOW_GROUP + row % SHADOW_GROUP) * CODE_VEC;
    for (var n = 0u; n < LANE_WORDS; n++) { // unroll
      let word = lane + n * LANES;                       // storage word of the row
      // A u32 of codes has 16 channels: those of two or four lanes.
      var codes = 0u;
      for (var v = 0u; v < V4; v++) { // unroll
        let code = vec4<u32>(clamp(floor(x[n * V4 + v] * per_step) + 2.0, vec4f(0.0), vec4f(3.0)));
        let bits = code.x | (code.y << 8u) | (code.z << 16u) | (code.w << 24u);
        codes |= bits << (2u * ((word * V4 + v) % 4u));
      }
      codes |= subgroupShuffleXor(codes, 1u);
      if (V4 == 1u) { codes |= subgroupShuffleXor(codes, 2u); }
      let code_word = word * V4 / 4u;
      if (word * V4 % 4u == 0u && word < WORDS && row < rows) {
        shadow[at + (code_word / CODE_VEC * SHADOW_GROUP) * CODE_VEC + code_word % CODE_VEC] = codes;
      }
    }
  }
  if (lane == 0u && first < rows) { shadow[scales_begin(batch, kv_head) + first / ROWS] = scales; }
}
