// The scalar product of two words of four signed bytes, for browsers with the language feature packed_4x8_integer_dot_product.

fn byte_dot(a: u32, b: u32, sum: i32) -> i32 { return sum + dot4I8Packed(a, b); }
