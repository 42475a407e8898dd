// A Pair is the values of two heads side by side, in f16: one operation, exchange or register serves two heads.

alias Pair = vec2<f16>;
fn pair_of(x: f32, y: f32) -> Pair { return Pair(f16(x), f16(y)); }
// Adds to c the products of four elements of a storage word with the queries from (*query)[at] on. half: 0 for the first four elements of
// the word, 1 for the others.
fn pair_dot(query: ptr<function, Pairs>, at: u32, w: Word, half: u32, c: Pair) -> Pair {
  let a = bitcast<vec2<f16>>(w[2u * half]);
  let b = bitcast<vec2<f16>>(w[2u * half + 1u]);
  let sum = fma((*query)[at + 1u], a.yy, fma((*query)[at], a.xx, c));
  return fma((*query)[at + 3u], b.yy, fma((*query)[at + 2u], b.xx, sum));
}
// y where the mask is all ones, x where it is 0. It works on bits, because drivers select a vector element by element.
fn pair_select(x: Pair, y: Pair, mask: u32) -> Pair {
  return bitcast<Pair>(bitcast<u32>(x) ^ ((bitcast<u32>(x) ^ bitcast<u32>(y)) & mask));
}
fn pair_swap_x(p: Pair) -> Pair { return bitcast<Pair>(quadSwapX(bitcast<u32>(p))); }
fn pair_swap_y(p: Pair) -> Pair { return bitcast<Pair>(quadSwapY(bitcast<u32>(p))); }
fn pair_xor(p: Pair, mask: u32) -> Pair { return bitcast<Pair>(subgroupShuffleXor(bitcast<u32>(p), mask)); }
fn pair_shuffle(p: Pair, id: u32) -> Pair { return bitcast<Pair>(subgroupShuffle(bitcast<u32>(p), id)); }
