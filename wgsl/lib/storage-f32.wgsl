// K, V, q and output in f32. A storage word is four elements in 16 bytes. It has no second half, and
// kernels use word_hi only where V4 is 2.

alias Word = vec4<f32>;
fn word_lo(w: Word) -> vec4f { return w; }
fn word_hi(w: Word) -> vec4f { return w; }
fn pack_word(lo: vec4f, hi: vec4f) -> Word { return lo; }
