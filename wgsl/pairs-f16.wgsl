// The values of two heads side by side in f16.
alias Pair = vec2<f16>;
fn pair_of(x: f32, y: f32) -> Pair { return Pair(f16(x), f16(y)); }
fn splat_element(w: Word, e: u32) -> Pair {
  let two = bitcast<vec2<f16>>(w[e / 2u]);
  return select(two.xx, two.yy, e % 2u == 1u);
}
// y where the mask is set. By bits: drivers select a vector by its elements.
fn pair_select(x: Pair, y: Pair, mask: u32) -> Pair {
  return bitcast<Pair>(bitcast<u32>(x) ^ ((bitcast<u32>(x) ^ bitcast<u32>(y)) & mask));
}
fn pair_swap_x(p: Pair) -> Pair { return bitcast<Pair>(quadSwapX(bitcast<u32>(p))); }
fn pair_swap_y(p: Pair) -> Pair { return bitcast<Pair>(quadSwapY(bitcast<u32>(p))); }
fn pair_xor(p: Pair, mask: u32) -> Pair { return bitcast<Pair>(subgroupShuffleXor(bitcast<u32>(p), mask)); }
fn pair_shuffle(p: Pair, id: u32) -> Pair { return bitcast<Pair>(subgroupShuffle(bitcast<u32>(p), id)); }
