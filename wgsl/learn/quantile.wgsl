// Finds the score at a head's exact threshold, among the scores as they are stored (score-codes.wgsl). One workgroup does this for a head.
// If the target is a quantile, this score is the order statistic at floor(tau * (S - 1)) of the S scores. If the target is a mass, it is
// the largest that drops at most epsilon of the probability. The score is found by its place, which counts from the highest score.
//   1. A sample of the scores gives a range that the place very probably lies in.
//   2. One pass over all scores counts those above the range, and puts those within it into bins of one code each. These counts tell
//      whether the range holds the place. If it does, the code of the place's bin is the result.
//   3. If the sample misled, and for a mass, all scores are put into bins of 16 codes first, and then those of the place's bin into bins of
//      one code.
// The result is exact in any case; the sample only changes how long it takes.
// Constants: HELD, WG, CODED, SCORE_BINS

const PORTION = HELD * WG;               // vec4u, of eight scores each, that the workgroup holds at a time
const ROUNDS = 3u;                       // passes over the scores: the sampled range, all codes, the codes of one bin
const SAMPLED_FROM = 4096u;              // with fewer scores than this no sample is taken

alias Held = array<vec4u, HELD>;         // the scores that an invocation holds

fn score_vecs() -> u32 { return params.score_stride / 8u; }

// The scores that the workgroup holds first are every sample_step()-th vec4u. If that is 1, they are all scores.
fn sample_step() -> u32 { return (score_vecs() + PORTION - 1u) / PORTION; }

// Loads scores, every step-th vec4u from `start` on. It does not need the number of keys, so that the loads need not wait for that number.
// So clear_beyond must follow. A dense step has stored codes; a sifted step, and every step without subgroups, has stored f32.
fn load_scores(held: ptr<function, Held>, head: u32, start: u32, step: u32) {
  let vecs = score_vecs();
  if (CODED && has(params.flags, FLAG_DENSE)) {
    for (var j = 0u; j < HELD; j++) { // unroll
      (*held)[j] = scores[head * vecs + min(start + j * step, vecs - 1u)];
    }
    return;
  }
  for (var j = 0u; j < HELD; j++) { // unroll
    let at = 2u * (head * vecs + min(start + j * step, vecs - 1u));
    let a = bitcast<vec4f>(scores[at]);
    let b = bitcast<vec4f>(scores[at + 1u]);
    (*held)[j] = vec4u(score_codes(a.x, a.y), score_codes(a.z, a.w), score_codes(b.x, b.y), score_codes(b.z, b.w));
  }
}

// Replaces held codes that lie beyond the last key by that of the lowest score.
fn clear_beyond(held: ptr<function, Held>, start: u32, step: u32, length: u32) {
  if ((start + (HELD - 1u) * step) * 8u + 8u <= length) { return; }
  for (var j = 0u; j < HELD; j++) { // unroll
    for (var e = 0u; e < 4u; e++) { // unroll
      let first = (start + j * step) * 8u + 2u * e;
      if (first + 1u >= length) { (*held)[j][e] |= select(BEYOND_END & 0xffff0000u, BEYOND_END, first >= length); }
    }
  }
}

// Counts the held scores that lie in the range in its bins, and returns how many lie above it. It takes four scores at a time, since rarely
// two of four lie in a sampled range.
fn count_scores(held: ptr<function, Held>, range: Range) -> u32 {
  var above = 0u;
  for (var j = 0u; j < HELD; j++) { // unroll
    for (var e = 0u; e < 2u; e++) { // unroll
      let words = vec2u((*held)[j][2u * e], (*held)[j][2u * e + 1u]);
      let a = (words & vec2u(CODE_MASK)) - range.origin;
      let b = (words >> vec2u(16u)) - range.origin;
      // A code below the origin has wrapped around to a large number: its top bit says that the score is above the range.
      let lo = min(a, b);
      let hi = max(a, b);
      let first = min(lo.x, lo.y);
      if (first < range.width) {
        atomicAdd(&bins[first >> range.shift], 1u);
        let others = vec3u(max(lo.x, lo.y), hi);
        if (min(others.x, min(hi.x, hi.y)) < range.width) {
          for (var i = 0u; i < 3u; i++) { // unroll
            if (others[i] < range.width) { atomicAdd(&bins[others[i] >> range.shift], 1u); }
          }
        }
      }
      above += (a.x >> 31u) + (a.y >> 31u);
      above += (b.x >> 31u) + (b.y >> 31u);
    }
  }
  return above;
}

// The same for a target mass: the bins, and the result, are probabilities.
fn count_mass(held: ptr<function, Held>, range: Range, softmax: vec2f) -> u32 {
  var above = 0u;
  for (var j = 0u; j < HELD; j++) { // unroll
    for (var e = 0u; e < 8u; e++) { // unroll
      let code = ((*held)[j][e / 2u] >> (16u * (e % 2u))) & CODE_MASK;
      let unit = mass_unit(code, softmax);
      let at = code - range.origin;
      if (at < range.width) { atomicAdd(&bins[at >> range.shift], unit); }
      above += select(0u, unit, at >= 0x80000000u);
    }
  }
  return above;
}

// The range that a sample expects the score of a place in; the whole range if it cannot tell. The sample is two of every eight held scores.
fn sampled_range(held: ptr<function, Held>, place: u32, length: u32, lid: u32) -> Range {
  let whole = whole_range();
  let share = 1.0 / f32(4u * sample_step());
  let n = f32(length) * share;
  let at = f32(place) * share;
  let margin = 4.0 * sqrt(at * max(0.0, 1.0 - at / n)) + 4.0; // four standard deviations
  for (var j = 0u; j < HELD; j++) { // unroll
    let a = ((*held)[j][j % 4u] & CODE_MASK) - whole.origin;
    let b = ((*held)[j][(j + 2u) % 4u] >> 16u) - whole.origin;
    if (a < whole.width) { atomicAdd(&bins[a >> whole.shift], 1u); }
    if (b < whole.width) { atomicAdd(&bins[b >> whole.shift], 1u); }
  }
  workgroupBarrier();
  find_bins(u32(max(0.0, at - margin)), u32(at + margin), false, lid);
  let bounds = workgroupUniformLoad(&found);
  let first = select(bounds.first, 1u, at <= margin);
  let last = select(bounds.last, SCORE_BINS - 1u, at + margin >= n - 1.0);
  if (first == 0u || last < first) { return whole; }
  return narrowed(whole, first, last);
}

// The score at the threshold. held: what load_scores gives for (lid * sample_step(), WG * sample_step()).
fn quantile(held: ptr<function, Held>, head: u32, length: u32, softmax: vec2f, lid: u32) -> f32 {
  let by_mass = has(params.flags, FLAG_MASS);
  let one_portion = sample_step() == 1u;
  let vecs = (length + 7u) / 8u;
  // The place counts from the highest score. That of a mass is only known when all probabilities are counted.
  var place = length - 1u - min(u32(params.target_value * f32(length - 1u)), length - 1u);
  clear_beyond(held, lid * sample_step(), WG * sample_step(), length);
  var range = whole_range();
  if (!by_mass && length >= SAMPLED_FROM) { range = sampled_range(held, place, length, lid); }
  for (var round = 0u; round < ROUNDS; round++) {
    var above = 0u;
    for (var start = 0u; start < vecs; start += PORTION) {
      if (!one_portion) {
        load_scores(held, head, start + lid, WG);
        clear_beyond(held, start + lid, WG, length);
      }
      if (by_mass) { above += count_mass(held, range, softmax); } else { above += count_scores(held, range); }
    }
    above = subtotal(above);
    if (above > 0u) { atomicAdd(&bins[0], above); }
    workgroupBarrier();
    place = find_bins(place, place, by_mass && round == 0u, lid);
    let bin = workgroupUniformLoad(&found).first;
    if (bin > 0u && range.shift == 0u) { return code_score(range.origin + bin); }
    if (bin > 0u) { range = narrowed(range, bin, bin); } else { range = whole_range(); }
  }
  return -HIGHEST;                       // one of the last 16 codes, which the whole range does not have
}
