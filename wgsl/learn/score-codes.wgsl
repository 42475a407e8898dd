// Score codes: scores as codes of 15 bits, two in a word. The higher a score, the lower its code. Steps that learn store their scores so,
// because that takes half the memory, and because the quantile then needs no bins finer than one code.
// A code is |s| + 1, rounded to f16, and the sign of s. The 1 is added so that no codes are wasted on scores near 0. A stored score is off
// by at most (|s| + 1) 2^-11, or twice that where a device does not round to nearest.

const HIGHEST = 65504.0;                 // of f16
const CODE_MASK = 0x7fffu;
const BEYOND_END = 0x7fff7fffu;          // the codes of two lowest scores, for places beyond the last key

// The codes of two scores in a word, the first in its lower half.
fn score_codes(first: f32, second: f32) -> u32 {
  let s = vec2f(first, second);
  let w = pack2x16float(clamp(s + select(vec2f(1.0), vec2f(-1.0), s < vec2f(0.0)), vec2f(-HIGHEST), vec2f(HIGHEST)));
  // 0x3c00 is 1 in f16, the least magnitude. Counted from there, codes rise from 0x4000 on for negative scores, and fall from 0x3fff on for
  // others.
  return ((w & 0x7fff7fffu) - 0x3c003c00u) ^ (0x3fff3fffu + ((w >> 15u) & 0x00010001u));
}

fn code_score(code: u32) -> f32 {
  let negative = code > 0x3fffu;
  let s = unpack2x16float(select(0x3fffu - code, code - 0x4000u, negative) + 0x3c00u).x - 1.0;
  return select(s, -s, negative);
}
