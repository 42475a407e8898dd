// f16 in 8-byte words of four elements, for head sizes that eight does not divide.

alias Word = vec2<u32>;
fn word_lo(w: Word) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn word_hi(w: Word) -> vec4f { return vec4f(0.0); }
fn pack_word(lo: vec4f, hi: vec4f) -> Word { return vec2<u32>(pack2x16float(lo.xy), pack2x16float(lo.zw)); }
