// K, V, q and output in f16, for head sizes that eight does not divide. A storage word is four elements in 8 bytes. It has no second half,
// and kernels use word_hi only where V4 is 2.

alias Word = vec2<u32>;
fn word_lo(w: Word) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn word_hi(w: Word) -> vec4f { return vec4f(0.0); }
fn pack_word(lo: vec4f, hi: vec4f) -> Word { return vec2<u32>(pack2x16float(lo.xy), pack2x16float(lo.zw)); }
