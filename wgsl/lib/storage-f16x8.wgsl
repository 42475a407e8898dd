// K, V, q and output in f16. A storage word is eight elements in 16 bytes. It is unpacked from u32, so that the device need not have
// shader-f16.

alias Word = vec4<u32>;
fn word_lo(w: Word) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn word_hi(w: Word) -> vec4f { return vec4f(unpack2x16float(w.z), unpack2x16float(w.w)); }
fn pack_word(lo: vec4f, hi: vec4f) -> Word {
  return vec4<u32>(pack2x16float(lo.xy), pack2x16float(lo.zw), pack2x16float(hi.xy), pack2x16float(hi.zw));
}
