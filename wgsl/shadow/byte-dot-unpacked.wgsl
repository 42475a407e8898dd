// The scalar product of two words of four signed bytes, for browsers that have no operation for it.

fn signed_byte(word: u32, index: u32) -> i32 { return bitcast<i32>(word << (24u - 8u * index)) >> 24u; }
fn byte_dot(a: u32, b: u32, sum: i32) -> i32 {
  return sum + signed_byte(a, 0u) * signed_byte(b, 0u) + signed_byte(a, 1u) * signed_byte(b, 1u)
    + signed_byte(a, 2u) * signed_byte(b, 2u) + signed_byte(a, 3u) * signed_byte(b, 3u);
}
