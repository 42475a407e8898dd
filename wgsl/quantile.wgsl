// The exact quantile of a head's scores, by one workgroup. quantile: the order statistic at floor(tau * (S - 1)). mass: the largest
// threshold that drops at most epsilon of the probability.
// A sample of the scores says in which range it very probably lies; one pass counts those above the range and puts those within it into
// bins, which proves the range right or not; the few of the bin that holds the place are ranked among themselves. Where the sample
// misled, and for a mass, the bins are those of all scores first. What does not come down to few (equal scores) goes through a radix
// select. Exact in any case: what the bins are only changes how long it takes.
const PORTION = HELD * WG;               // vec4f of scores that the workgroup holds at a time
const CANDIDATES = 256u;                 // scores that are ranked rather than put into finer bins
const ROUNDS = 4u;                       // one more for a sample that misled
const SAMPLED_FROM = 4096u;              // keys
const BEHIND = -1e30;                    // stands for scores behind the last key: below every range

alias Held = array<vec4f, HELD>;
var<workgroup> candidates: atomic<u32>;
var<workgroup> outcome: vec2u;           // of a round: the bin, and how many scores it has
var<workgroup> answer: f32;

// From how many vec4f the first held scores take one: 1 where they are all.
fn sample_step() -> u32 { return (params.score_stride / 4u + PORTION - 1u) / PORTION; }

// Does not need the length, so that the loads need not wait for it; keep_scores must follow.
fn load_scores(held: ptr<function, Held>, head: u32, start: u32, step: u32) {
  let vecs = params.score_stride / 4u;
  for (var j = 0u; j < HELD; j++) { // unroll
    (*held)[j] = scores[head * vecs + min(start + j * step, vecs - 1u)];
  }
}

fn keep_scores(held: ptr<function, Held>, start: u32, step: u32, length: u32) {
  if ((start + (HELD - 1u) * step) * 4u + 4u <= length) { return; }
  for (var j = 0u; j < HELD; j++) { // unroll
    let key = (start + j * step) * 4u;
    if (key + 4u > length) {
      for (var e = 0u; e < 4u; e++) { // unroll
        if (key + e >= length) { (*held)[j][e] = BEHIND; }
      }
    }
  }
}

// Counts the held scores in bins. Returns the units of those above the range. By fours, of which rarely two lie in a sampled range.
fn count_scores(held: ptr<function, Held>, range: vec2f) -> u32 {
  var above = 0u;
  for (var j = 0u; j < HELD; j++) { // unroll
    let four = bins_of((*held)[j], range);
    let lo = min(four.xy, four.zw);
    let hi = max(four.xy, four.zw);
    let first = min(lo.x, lo.y);
    if (first < SCORE_BINS) {
      atomicAdd(&bins[first], 1u);
      let others = vec3u(max(lo.x, lo.y), hi);
      if (min(others.x, min(hi.x, hi.y)) < SCORE_BINS) {
        for (var i = 0u; i < 3u; i++) { // unroll
          if (others[i] < SCORE_BINS) { atomicAdd(&bins[others[i]], 1u); }
        }
      }
    }
    above += four.x >> 31u;
    above += four.y >> 31u;
    above += four.z >> 31u;
    above += four.w >> 31u;
  }
  return above;
}

// The same where probability is counted.
fn count_mass(held: ptr<function, Held>, range: vec2f, softmax: vec2f) -> u32 {
  var above = 0u;
  for (var j = 0u; j < HELD; j++) { // unroll
    for (var e = 0u; e < 4u; e++) { // unroll
      let bin = bin_of((*held)[j][e], range);
      let unit = mass_unit((*held)[j][e], softmax);
      if (bin < SCORE_BINS) { atomicAdd(&bins[bin], unit); }
      above += select(0u, unit, bin >= 0x80000000u);
    }
  }
  return above;
}

// The range in which a sample, one of each vec4f held, expects the score at a place; all if it cannot say.
fn sampled_range(held: ptr<function, Held>, whole: vec2f, place: u32, length: u32, lid: u32) -> vec2f {
  let share = 1.0 / f32(4u * sample_step());
  let n = f32(length) * share;
  let at = f32(place) * share;
  let margin = 4.0 * sqrt(at * max(0.0, 1.0 - at / n)) + 4.0; // four standard deviations
  for (var j = 0u; j < HELD; j++) { // unroll
    let bin = bin_of((*held)[j][j % 4u], whole);
    if (bin < SCORE_BINS) { atomicAdd(&bins[bin], 1u); }
  }
  workgroupBarrier();
  find_bins(u32(max(0.0, at - margin)), u32(at + margin), false, lid);
  workgroupBarrier();
  let first = select(found.first, 1u, at <= margin);
  let last = select(found.last, SCORE_BINS - 1u, at + margin >= n - 1.0);
  if (first == 0u || last < first) { return whole; }
  return narrowed(whole, first, last);
}

// held: what load_scores gave for (lid * sample_step(), WG * sample_step()).
fn quantile(held: ptr<function, Held>, head: u32, length: u32, softmax: vec2f, lid: u32) -> f32 {
  let by_mass = has(params.flags, FLAG_MASS);
  let one_portion = sample_step() == 1u;
  let vecs = (length + 3u) / 4u;
  let whole = whole_range(softmax.x);
  var rank = u32(floor(params.target_value * f32(length - 1u)));  // from the lowest
  if (by_mass) { rank = u32(params.target_value * MASS_ONE); }
  var place = length - 1u - min(rank, length - 1u);               // from the highest; of a mass not known before all is counted
  keep_scores(held, lid * sample_step(), WG * sample_step(), length);
  var range = whole;
  var wide = by_mass || length < SAMPLED_FROM;
  if (!wide) { range = sampled_range(held, whole, place, length, lid); }
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
    let known = !by_mass || round > 0u;
    place = find_bins(select(rank, place, known), place, !known, lid);
    workgroupBarrier();
    let bounds = found;
    if (bounds.first > 0u && (by_mass || bounds.inside <= CANDIDATES)) {
      for (var start = 0u; start < vecs; start += PORTION) {
        if (!one_portion) {
          load_scores(held, head, start + lid, WG);
          keep_scores(held, start + lid, WG, length);
        }
        collect_scores(held, range, bounds.first);
      }
    }
    workgroupBarrier();
    let n = atomicLoad(&candidates);
    if (lid < n && n <= CANDIDATES) { rank_candidates(n, place - bounds.before, softmax, by_mass, lid); }
    if (lid == 0u) { outcome = vec2u(bounds.first, n); }
    let last = workgroupUniformLoad(&outcome);
    if (last.y > 0u && last.y <= CANDIDATES) { return answer; }
    if (last.x == 0u && wide) { break; }
    wide = last.x == 0u;
    if (wide) { range = whole; } else { range = narrowed(range, last.x, last.x); }
    if (lid == 0u) { atomicStore(&candidates, 0u); }
    clear_bins(lid);
  }
  radix_select(head, length, softmax, by_mass, rank, lid);
  return answer;
}

// Candidates take the memory of the bins, which find_bins has left empty.
fn collect_scores(held: ptr<function, Held>, range: vec2f, bin: u32) {
  for (var j = 0u; j < HELD; j++) { // unroll
    let hits = bins_of((*held)[j], range) == vec4u(bin);
    if (any(hits)) {
      for (var e = 0u; e < 4u; e++) { // unroll
        if (hits[e]) {
          let at = atomicAdd(&candidates, 1u);
          if (at < CANDIDATES) { atomicStore(&bins[at], bitcast<u32>((*held)[j][e])); }
        }
      }
    }
  }
}

// The candidate that holds a place among them.
fn rank_candidates(n: u32, place: u32, softmax: vec2f, by_mass: bool, lid: u32) {
  for (var i = lid; i < n; i += WG) {
    let s = bitcast<f32>(atomicLoad(&bins[i]));
    var above = 0u;                      // units of the scores above s, and of those down to it
    var down_to = 0u;
    var lowest = true;
    for (var start = 0u; start < n; start += 4u) {       // four at a time: loads in flight
      for (var e = 0u; e < 4u; e++) { // unroll
        let other = bitcast<f32>(atomicLoad(&bins[start + e]));
        var unit = select(0u, 1u, start + e < n);
        if (by_mass) { unit *= mass_unit(other, softmax); }
        above += select(0u, unit, other > s);
        down_to += select(0u, unit, other >= s);
        lowest = lowest && (other >= s || start + e >= n);
      }
    }
    if ((above <= place && place < down_to) || (lowest && place >= down_to)) { answer = s; }
  }
}
