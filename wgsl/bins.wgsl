// Bins of scores for the quantile, in a range: (bins a nat, a power of two; 2^23 more than the bin of score 0). The highest scores have the
// lowest numbers, and a higher score is never in a later bin. The sum's unit in the last place is 1, so that its bits are the bin: cheaper
// than a conversion, and the same whether or not the product is fused. What lies above the range has a number above 2^31, what lies
// below it one from SCORE_BINS on.
const MASS_ONE = 2147483648.0;           // probabilities are summed as 2^-31ths, so that atomics can add them
const BINS_A_NAT = 64.0;
const TWO_23 = 8388608.0;

var<workgroup> bins: array<atomic<u32>, SCORE_BINS>;    // zero at first, as all workgroup memory

// What was found in the bins: those of two places, the units that come before the first, and its own.
struct Found { first: u32, last: u32, before: u32, inside: u32 }
var<workgroup> found: Found;

fn whole_range(top: f32) -> vec2f { return vec2f(BINS_A_NAT, top * BINS_A_NAT + (TWO_23 + 2.0)); }

// The bins first to last of a range, and one on either side, in as many bins as there are.
fn narrowed(range: vec2f, first: u32, last: u32) -> vec2f {
  let zoom = bitcast<f32>(bitcast<u32>(f32(SCORE_BINS - 2u) / f32(last - first + 3u)) & 0x7f800000u);
  return vec2f(range.x * zoom, (range.y - TWO_23 - f32(first) + 1.0) * zoom + TWO_23);
}

const BIN_0 = 0x4b000000u;               // the bits of 2^23
fn bin_of(s: f32, range: vec2f) -> u32 { return bitcast<u32>(range.y - s * range.x) - BIN_0; }
fn bins_of(four: vec4f, range: vec2f) -> vec4u { return bitcast<vec4u>(range.y - four * range.x) - BIN_0; }

// What a score adds to its bin where probability is counted: 2^-31ths of it.
fn mass_unit(s: f32, softmax: vec2f) -> u32 { return u32(exp(s - softmax.x) / softmax.y * MASS_ONE); }

fn clear_bins(lid: u32) {
  for (var i = lid; i < SCORE_BINS; i += WG) { atomicStore(&bins[i], 0u); }
  workgroupBarrier();
}

// Finds the bins of two places, counted from the highest score; 0 where there is none. lowest: `from` is counted from the lowest, and `to`
// the same place. Returns the place of `from`; `found` is there behind a barrier. Leaves the bins empty.
fn find_bins(from_place: u32, to_place: u32, lowest: bool, lid: u32) -> u32 {
  var mine: array<u32, BINS_EACH>;
  var sum = 0u;
  for (var i = 0u; i < BINS_EACH; i++) { // unroll
    mine[i] = atomicLoad(&bins[lid * BINS_EACH + i]);
    sum += mine[i];
    atomicStore(&bins[lid * BINS_EACH + i], 0u);
  }
  if (lid == 0u) { found = Found(0u, 0u, 0u, 0u); }
  let spans = workgroup_spans(sum, lid);
  let end = max(spans.y, 1u) - 1u;
  let first = select(from_place, end - min(from_place, end), lowest);
  let last = select(to_place, first, lowest);
  if (first < spans.x + spans.z && spans.x <= last) {
    var seen = spans.x + span_scan(sum);
    for (var i = 0u; i < BINS_EACH; i++) { // unroll
      if (seen <= first && first < seen + mine[i]) {
        found.first = lid * BINS_EACH + i;
        found.before = seen;
        found.inside = mine[i];
      }
      if (seen <= last && last < seen + mine[i]) { found.last = lid * BINS_EACH + i; }
      seen += mine[i];
    }
  }
  return first;
}
