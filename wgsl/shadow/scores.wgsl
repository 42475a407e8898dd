// Scores of keys from their shadow. A lane has whole rows, up to AT_ONCE at a time, so that no lane has to ask another for its part.
//   AT_ONCE         rows that a lane loads before it waits for one
//   LARGEST_SCALE   the byte of the largest scale with which a row's scores are made use of. A larger scale says that the statistics do not
//                   describe the row, and the errors of its scores grow with it. So such rows are read.
// Constants: AT_ONCE, LARGEST_SCALE, PLANES, CODE_VEC, CODE_WORDS, HEADS, SHADOW_GROUP

const FOREIGN = 1e30;                    // the score of a row that the statistics do not describe: above every cut

struct ShadowRows {
  codes: array<Codes, AT_ONCE * PLANES>,
  scales: array<u32, AT_ONCE>,           // words that have the scales of four rows
}
alias ShadowScores = array<f32, AT_ONCE * HEADS>;        // of row r and head h at r * HEADS + h, to base 2

// Starts loading row j of a lane.
fn load_shadow(rows: ptr<function, ShadowRows>, j: u32, at: Place, row: u32) {
  let begin = codes_begin(at.batch, at.kv_head) / CODE_VEC + row / SHADOW_GROUP * PLANES * SHADOW_GROUP + row % SHADOW_GROUP;
  for (var p = 0u; p < PLANES; p++) { // unroll
    (*rows).codes[j * PLANES + p] = shadow[begin + p * SHADOW_GROUP];
  }
  let word = scales_begin(at.batch, at.kv_head) + row / 4u;
  (*rows).scales[j] = shadow[word / CODE_VEC][word % CODE_VEC] >> (8u * (row % 4u));
}

// Scores of the loaded rows, for all heads.
fn shadow_scores(scores: ptr<function, ShadowScores>, rows: ptr<function, ShadowRows>) {
  var product: array<i32, AT_ONCE * HEADS>;
  for (var i = 0u; i < AT_ONCE * HEADS; i++) { // unroll
    product[i] = 0;
  }
  for (var w = 0u; w < CODE_WORDS; w++) { // unroll
    var four: array<vec4<u32>, AT_ONCE>; // the codes of 16 channels, one in each byte
    for (var r = 0u; r < AT_ONCE; r++) { // unroll
      four[r] = (vec4<u32>((*rows).codes[r * PLANES + w / CODE_VEC][w % CODE_VEC]) >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(0x03030303u);
    }
    for (var h = 0u; h < HEADS; h++) { // unroll
      let query = query_codes[h * CODE_WORDS + w];
      for (var r = 0u; r < AT_ONCE; r++) { // unroll
        let i = r * HEADS + h;
        product[i] = byte_dot(four[r].x, query.x, product[i]);
        product[i] = byte_dot(four[r].y, query.y, product[i]);
        product[i] = byte_dot(four[r].z, query.z, product[i]);
        product[i] = byte_dot(four[r].w, query.w, product[i]);
      }
    }
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    let offset = query_offset[h];
    let unit = query_unit[h];
    let sum = query_sum[h];
    for (var r = 0u; r < AT_ONCE; r++) { // unroll
      let byte = (*rows).scales[r] & 255u;
      let score = f32(2 * product[r * HEADS + h] - sum) * (unit * scale_of(byte)) + offset;
      (*scores)[r * HEADS + h] = select(score, FOREIGN, byte > LARGEST_SCALE);
    }
  }
}

// The scores of one row, for all heads, to base 2. Of a row that the statistics do not describe they are as low as can be, because this is for
// the normaliser: without the row it is less, and then more rows are read.
fn shadow_score(at: Place, row: u32) -> PerHead {
  let begin = codes_begin(at.batch, at.kv_head) / CODE_VEC + row / SHADOW_GROUP * PLANES * SHADOW_GROUP + row % SHADOW_GROUP;
  let scale_word = scales_begin(at.batch, at.kv_head) + row / 4u;
  let byte = (shadow[scale_word / CODE_VEC][scale_word % CODE_VEC] >> (8u * (row % 4u))) & 255u;
  let scale = scale_of(byte);
  var score: PerHead;
  for (var h = 0u; h < HEADS; h++) { // unroll
    var product = 0;
    for (var w = 0u; w < CODE_WORDS; w++) { // unroll
      let codes = shadow[begin + w / CODE_VEC * SHADOW_GROUP][w % CODE_VEC];
      let query = query_codes[h * CODE_WORDS + w];
      for (var i = 0u; i < 4u; i++) { // unroll
        product = byte_dot((codes >> (2u * i)) & 0x03030303u, query[i], product);
      }
    }
    let known = f32(2 * product - query_sum[h]) * (query_unit[h] * scale) + query_offset[h];
    score[h] = select(known, -FOREIGN, byte > LARGEST_SCALE);
  }
  return score;
}
