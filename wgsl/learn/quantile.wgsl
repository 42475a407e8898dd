// The exact quantile of a head's scores as they are stored (score-codes.wgsl), by one workgroup. quantile: the order statistic at
// floor(tau * (S - 1)). mass: the largest threshold that drops at most epsilon of the probability.
// A sample of the scores says in which range it very probably lies; one pass counts those above the range and puts those within it into
// bins of one code each, which proves the range right or not. Where the sample misled, and for a mass, bins of 16 codes have all scores
// first, and those of the one that holds the place come after. Exact in any case: what the range is only changes how long it takes.
// Constants: HELD, WG, CODED, SCORE_BINS

const PORTION = HELD * WG;               // vec4u of scores that the workgroup holds at a time, each of eight
const ROUNDS = 3u;
const SAMPLED_FROM = 4096u;              // scores

alias Held = array<vec4u, HELD>;

fn score_vecs() -> u32 { return params.score_stride / 8u; }

// From how many vec4u the first held scores take one: 1 where they are all.
fn sample_step() -> u32 { return (score_vecs() + PORTION - 1u) / PORTION; }

// Does not need the length, so that the loads need not wait for it; keep_scores must follow. A dense step has stored codes, a sifted one, or
// any without subgroups, f32.
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

fn keep_scores(held: ptr<function, Held>, start: u32, step: u32, length: u32) {
  if ((start + (HELD - 1u) * step) * 8u + 8u <= length) { return; }
  for (var j = 0u; j < HELD; j++) { // unroll
    for (var e = 0u; e < 4u; e++) { // unroll
      let first = (start + j * step) * 8u + 2u * e;
      if (first + 1u >= length) { (*held)[j][e] |= select(BEHIND & 0xffff0000u, BEHIND, first >= length); }
    }
  }
}

// Counts the held scores in bins. Returns how many lie above the range. By fours, of which rarely two lie in a sampled range.
fn count_scores(held: ptr<function, Held>, range: Range) -> u32 {
  var above = 0u;
  for (var j = 0u; j < HELD; j++) { // unroll
    for (var e = 0u; e < 2u; e++) { // unroll
      let words = vec2u((*held)[j][2u * e], (*held)[j][2u * e + 1u]);
      let a = (words & vec2u(CODE_MASK)) - range.origin;
      let b = (words >> vec2u(16u)) - range.origin;
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

// The same where probability is counted.
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

// The range in which a sample, two of each eight held, expects the score at a place; all if it cannot say.
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

// held: what load_scores gave for (lid * sample_step(), WG * sample_step()).
fn quantile(held: ptr<function, Held>, head: u32, length: u32, softmax: vec2f, lid: u32) -> f32 {
  let by_mass = has(params.flags, FLAG_MASS);
  let one_portion = sample_step() == 1u;
  let vecs = (length + 7u) / 8u;
  // From the highest score on; of a mass not known before all is counted.
  var place = length - 1u - min(u32(params.target_value * f32(length - 1u)), length - 1u);
  keep_scores(held, lid * sample_step(), WG * sample_step(), length);
  var range = whole_range();
  if (!by_mass && length >= SAMPLED_FROM) { range = sampled_range(held, place, length, lid); }
  for (var round = 0u; round < ROUNDS; round++) {
    var above = 0u;
    for (var start = 0u; start < vecs; start += PORTION) {
      if (!one_portion) {
        load_scores(held, head, start + lid, WG);
        keep_scores(held, start + lid, WG, length);
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
  return -HIGHEST;                       // among what the bins of all do not reach
}
