// K, V, q and output as f32: one storage word is four elements.

alias Word = vec4<f32>;
fn word_lo(w: Word) -> vec4f { return w; }
fn word_hi(w: Word) -> vec4f { return w; }
fn pack_word(lo: vec4f, hi: vec4f) -> Word { return lo; }
