// Bins that the quantile counts score codes in (score-codes.wgsl). The higher a score, the lower its code. Bin 0 counts the scores that lie
// above a range.
// Constants: SCORE_BINS, BINS_EACH

const MASS_ONE = 2147483648.0;           // a probability of 1: probabilities are counted in units of 2^-31, so that atomics can add them

var<workgroup> bins: array<atomic<u32>, SCORE_BINS>;    // zero at first, like all workgroup memory

// A range of codes, counted in bins of 2^shift codes. `origin` is the first code of bin 0; it wraps around where it would be negative.
// `width` is how many codes all bins have, bin 0 included.
struct Range { origin: u32, width: u32, shift: u32 }

// The bins that hold two places.
struct Found { first: u32, last: u32 }
var<workgroup> found: Found;

// All codes but the last 16, in bins of 16. Bin 0 lies before the first code.
fn whole_range() -> Range { return Range(0u - 16u, SCORE_BINS * 16u, 4u); }

// The codes of the bins `first` to `last` of a range, spread over as many bins as there are.
fn narrowed(range: Range, first: u32, last: u32) -> Range {
  let codes = (last - first + 1u) << range.shift;
  var shift = 0u;
  while (codes >> shift > SCORE_BINS - 2u) { shift++; }
  return Range(range.origin + (first << range.shift) - (1u << shift), codes + (1u << shift), shift);
}

// What a score adds to its bin where probability is counted: its probability in units of 2^-31.
fn mass_unit(code: u32, softmax: vec2f) -> u32 { return u32(exp(code_score(code) - softmax.x) / softmax.y * MASS_ONE); }

// Finds the bins that hold two places, which count from the highest score. For a place that no bin holds it gives bin 0. With by_share,
// both places are the one below which the target share of the whole lies, and the arguments are not used.
// Returns the first place. `found` has the bins, behind a barrier. The bins are empty afterwards.
fn find_bins(from_place: u32, to_place: u32, by_share: bool, lid: u32) -> u32 {
  var mine: array<u32, BINS_EACH>;
  var sum = 0u;
  for (var i = 0u; i < BINS_EACH; i++) { // unroll
    mine[i] = atomicLoad(&bins[lid * BINS_EACH + i]);
    sum += mine[i];
    atomicStore(&bins[lid * BINS_EACH + i], 0u);
  }
  if (lid == 0u) { found = Found(0u, 0u); }
  let spans = workgroup_spans(sum, lid);
  let end = max(spans.y, 1u) - 1u;
  let first = select(from_place, end - min(u32(params.target_value * f32(spans.y)), end), by_share);
  let last = select(to_place, first, by_share);
  if (first < spans.x + spans.z && spans.x <= last) {
    var seen = spans.x + span_scan(sum);
    for (var i = 0u; i < BINS_EACH; i++) { // unroll
      if (seen <= first && first < seen + mine[i]) { found.first = lid * BINS_EACH + i; }
      if (seen <= last && last < seen + mine[i]) { found.last = lid * BINS_EACH + i; }
      seen += mine[i];
    }
  }
  return first;
}
