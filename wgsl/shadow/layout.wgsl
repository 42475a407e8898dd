// Where the shadow lies: a copy of K with 2 bits an element, and a scale of one byte for each row. Rows are counted from the beginning of the
// cache, not from params.first_key. SHADOW_GROUP rows are a group, and there are params.shadow_groups of them for each KV head of each sequence.
//   codes   [batch, KV_HEADS, groups, PLANES, 32 rows, CODE_VEC] u32. A u32 has 16 neighbouring channels of a row. So neighbouring lanes that
//           read neighbouring rows read neighbouring bytes, 512 at a time where CODE_VEC is 4.
//   scales  behind all codes: [batch, KV_HEADS, groups, 32 rows] bytes
// Channel j of a u32 is at bit 8 (j % 4) + 2 (j / 4). So four channels come out as the bytes of one word by a shift and a mask.
// Constants: KV_HEADS, PLANES, CODE_VEC, SHADOW_GROUP

const SCALE_ZERO = 128.0;                // the byte of scale 1; there are eight for an octave

// The first row's place in units of u32: of plane 0 of its codes, and of its scale's byte.
fn codes_begin(batch: u32, kv_head: u32) -> u32 {
  return (batch * KV_HEADS + kv_head) * params.shadow_groups * PLANES * SHADOW_GROUP * CODE_VEC;
}
fn scales_begin(batch: u32, kv_head: u32) -> u32 {
  let codes = params.batch * KV_HEADS * params.shadow_groups * PLANES * SHADOW_GROUP * CODE_VEC;
  return codes + (batch * KV_HEADS + kv_head) * params.shadow_groups * (SHADOW_GROUP / 4u);
}

// The scale that a byte stands for.
fn scale_of(byte: u32) -> f32 { return exp2((f32(byte) - SCALE_ZERO) * 0.125); }
