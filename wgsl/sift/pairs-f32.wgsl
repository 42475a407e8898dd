// A Pair is the values of two heads side by side, in f32. The functions are those of pairs-f16.wgsl.

alias Pair = vec2f;
fn pair_of(x: f32, y: f32) -> Pair { return Pair(x, y); }
fn pair_dot(query: ptr<function, Pairs>, at: u32, w: Word, half: u32, c: Pair) -> Pair {
  var k = word_lo(w);
  if (half == 1u) { k = word_hi(w); }
  let sum = fma((*query)[at + 1u], vec2f(k.y), fma((*query)[at], vec2f(k.x), c));
  return fma((*query)[at + 3u], vec2f(k.w), fma((*query)[at + 2u], vec2f(k.z), sum));
}
fn pair_select(x: Pair, y: Pair, mask: u32) -> Pair { return select(x, y, mask != 0u); }
fn pair_swap_x(p: Pair) -> Pair { return quadSwapX(p); }
fn pair_swap_y(p: Pair) -> Pair { return quadSwapY(p); }
fn pair_xor(p: Pair, mask: u32) -> Pair { return subgroupShuffleXor(p, mask); }
fn pair_shuffle(p: Pair, id: u32) -> Pair { return subgroupShuffle(p, id); }
