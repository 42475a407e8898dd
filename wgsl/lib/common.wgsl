// What every kernel has. Parameters, flags and the state of a head come from src/kernel/text/schema.ts, constants from constants.ts beside
// it, which say what each is. Loops marked "unroll" may be unrolled in the text (src/kernel/text/unroll.ts).

const LOWEST: f32 = -3.4e38;  // stands for -inf: WGSL may assume that infinities do not occur

fn has(flags: u32, flag: u32) -> bool { return (flags & flag) != 0u; }

// Two parts of a softmax, each (maximum, sum of exp(score - maximum)), as one.
fn merge_softmax(a: vec2f, b: vec2f) -> vec2f {
  let m = max(a.x, b.x);
  return vec2f(m, a.y * exp(a.x - m) + b.y * exp(b.x - m));
}
