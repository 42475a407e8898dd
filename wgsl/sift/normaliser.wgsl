// Estimates the log-normalisers of heads from the scores of the keys of the estimate (estimate.wgsl), and finds the heads' cuts.
// Constants: HEADS, SAMPLED, SAMPLE_EACH, TEAM, TEAMS
var<workgroup> sample_score: array<f32, HEADS * SAMPLED>; // of all keys of the estimate
var<workgroup> head_norm: array<f32, HEADS>;             // the estimated log-normaliser, to base 2
var<workgroup> head_cut: array<f32, HEADS>;              // a head keeps a row whose score is at least this

// Puts the estimate of every head and its cut into workgroup memory. Every lane must call it, with barriers before and after. A team has a
// head at a time.
fn write_cuts(at: Place, edge_count: u32, sample_count: u32, length: u32) {
  for (var h = at.lid / TEAM; h < HEADS; h += TEAMS) {
    let norm = log_normaliser(h, edge_count, sample_count, length, at.tl);
    let eta = head_threshold(at.head0 + h, length);
    if (at.tl == 0u) {
      let finite = abs(norm) < 1e30;     // a screened score may have overflowed: then every row is read
      head_norm[h] = select(0.0, norm * LOG2_E, finite);
      head_cut[h] = LOWEST;
      if (finite && eta > LOWEST) { head_cut[h] = (select(norm, 0.0, CUT_RELATIVE) + eta) * LOG2_E; }
    }
  }
}

// The estimated log-normaliser of a head. The lanes of a team compute it together.
fn log_normaliser(h: u32, edge_count: u32, sample_count: u32, length: u32, tl: u32) -> f32 {
  var score: array<f32, SAMPLE_EACH>;
  var top = vec2f(LOWEST);               // largest score of the edge keys (x) and of the samples (y)
  for (var j = 0u; j < SAMPLE_EACH; j++) { // unroll
    let i = j * TEAM + tl;
    score[j] = select(LOWEST, sample_score[h * SAMPLED + i], i < edge_count + sample_count);
    top = max(top, select(vec2f(LOWEST, score[j]), vec2f(score[j], LOWEST), i < edge_count));
  }
  top = team_max(top);
  var sum = vec2f(0.0);
  for (var j = 0u; j < SAMPLE_EACH; j++) { // unroll
    let i = j * TEAM + tl;
    let counts = i < edge_count + sample_count;
    let e = select(0.0, exp(score[j] - select(top.y, top.x, i < edge_count)), counts);
    sum += select(vec2f(0.0, e), vec2f(e, 0.0), i < edge_count);
  }
  sum = team_add(sum);
  let edges = vec2f(top.x, sum.x);       // softmax (maximum, sum)
  let samples = vec2f(top.y, sum.y);
  let whole = extrapolate(edges, samples, edge_count, sample_count, length);
  return whole.x + log(whole.y);
}
