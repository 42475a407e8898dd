// Bins of scores (score-codes.wgsl) for the quantile. Bin 0 has what lies above a range.
// Constants: SCORE_BINS, BINS_EACH

const MASS_ONE = 2147483648.0;           // probabilities are summed as 2^-31ths, so that atomics can add them

var<workgroup> bins: array<atomic<u32>, SCORE_BINS>;    // zero at first, as all workgroup memory

// Codes in bins of 2^shift, `width` of them with those of bin 0: `origin` is the first of bin 0, which may lie before 0.
struct Range { origin: u32, width: u32, shift: u32 }

// The bins of two places.
struct Found { first: u32, last: u32 }
var<workgroup> found: Found;

fn whole_range() -> Range { return Range(0u - 16u, SCORE_BINS * 16u, 4u); }

// The codes of the bins first to last of a range, in as many bins as there are.
fn narrowed(range: Range, first: u32, last: u32) -> Range {
  let codes = (last - first + 1u) << range.shift;
  var shift = 0u;
  while (codes >> shift > SCORE_BINS - 2u) { shift++; }
  return Range(range.origin + (first << range.shift) - (1u << shift), codes + (1u << shift), shift);
}

// What a score adds to its bin where probability is counted: 2^-31ths of it.
fn mass_unit(code: u32, softmax: vec2f) -> u32 { return u32(exp(code_score(code) - softmax.x) / softmax.y * MASS_ONE); }

// Finds the bins of two places, counted from the highest score; 0 where there is none. by_share: both are the place below which the target
// share of all lies. Returns the place of `from`; `found` is there behind a barrier. Leaves the bins empty.
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
