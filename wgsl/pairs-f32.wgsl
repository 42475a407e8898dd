// The values of two heads side by side in f32.
alias Pair = vec2f;
fn pair_of(x: f32, y: f32) -> Pair { return Pair(x, y); }
fn splat_element(w: Word, e: u32) -> Pair { return Pair(word_element(w, e)); }
fn pair_select(x: Pair, y: Pair, mask: u32) -> Pair { return select(x, y, mask != 0u); }
fn pair_swap_x(p: Pair) -> Pair { return quadSwapX(p); }
fn pair_swap_y(p: Pair) -> Pair { return quadSwapY(p); }
fn pair_xor(p: Pair, mask: u32) -> Pair { return subgroupShuffleXor(p, mask); }
fn pair_shuffle(p: Pair, id: u32) -> Pair { return subgroupShuffle(p, id); }
