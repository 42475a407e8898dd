// Part of every kernel. src/kernel/text/schema.ts declares the parameters, the flags and the state of a head. constants.ts beside it
// explains the constants, and docs/glossary.md the words.
// Loops marked "unroll" are written out in the text on most devices (src/kernel/text/unroll.ts).

// Stands for minus infinity, because a WGSL compiler may assume that infinities do not occur.
const LOWEST: f32 = -3.4e38;

fn has(flags: u32, flag: u32) -> bool { return (flags & flag) != 0u; }

// Merges the softmax of two sets of keys. A softmax is kept as (maximum score, sum of exp(score - maximum)).
fn merge_softmax(a: vec2f, b: vec2f) -> vec2f {
  let m = max(a.x, b.x);
  return vec2f(m, a.y * exp(a.x - m) + b.y * exp(b.x - m));
}
