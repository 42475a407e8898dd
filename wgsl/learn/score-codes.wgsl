// Scores as codes of 15 bits, two in a word, the highest score first: a learning step's scores take half the memory so, and their order
// statistic needs no bins finer than one code. Of (|s| + 1) rounded to f16, so that codes are not wasted on scores near 0: off by at
// most (|s| + 1) 2^-11, or twice that where a device does not round to nearest.

const HIGHEST = 65504.0;                 // of f16
const CODE_MASK = 0x7fffu;
const BEHIND = 0x7fff7fffu;              // stands for scores behind the last key: the lowest

fn score_codes(first: f32, second: f32) -> u32 {
  let s = vec2f(first, second);
  let w = pack2x16float(clamp(s + select(vec2f(1.0), vec2f(-1.0), s < vec2f(0.0)), vec2f(-HIGHEST), vec2f(HIGHEST)));
  // Magnitudes from 1 on, upwards from 0x4000 for negative scores, downwards from 0x3fff for others.
  return ((w & 0x7fff7fffu) - 0x3c003c00u) ^ (0x3fff3fffu + ((w >> 15u) & 0x00010001u));
}

fn code_score(code: u32) -> f32 {
  let negative = code > 0x3fffu;
  let s = unpack2x16float(select(0x3fffu - code, code - 0x4000u, negative) + 0x3c00u).x - 1.0;
  return select(s, -s, negative);
}
