// Which keys the estimate of a head's log-normaliser takes, and how. The edge keys are the first SINK and the NEWEST; in a language model
// they hold most of the probability. SAMPLES of the keys between them are spread evenly, and each represents its neighbours. The largest
// sample represents itself alone: it may be a rare key of high probability, and would then raise the threshold of all rows.
// With at most SINK + NEWEST + SAMPLES keys the estimate is exact.
// Constants: SAMPLES, SINK

// The i-th key of the estimate. The first `edge_count` are the edge keys, the others samples. Sample k is key
// floor((2k + 1) * between / (2 SAMPLES)) of the keys between, computed without overflow. If there are fewer than SAMPLES keys between,
// each is a sample. (spread.wgsl computes the same with a divisor that is not constant.)
fn sample_key(i: u32, edge_count: u32, sample_count: u32, length: u32) -> u32 {
  let between = length - edge_count;
  let k = i - edge_count;
  let a = 2u * k + 1u;
  let sample_place = a * (between / (2u * SAMPLES)) + (a * (between % (2u * SAMPLES))) / (2u * SAMPLES);
  let edge_key = select(between + i, i, i < SINK);
  return select(SINK + select(sample_place, k, sample_count < SAMPLES), edge_key, i < edge_count);
}

// Estimates the softmax (maximum, sum) of all keys from that of the edge keys and that of the samples.
fn extrapolate(edges: vec2f, samples: vec2f, edge_count: u32, sample_count: u32, length: u32) -> vec2f {
  if (sample_count == 0u) { return edges; }
  let weight = f32(length - edge_count) / f32(sample_count);
  return merge_softmax(edges, vec2f(samples.x, 1.0 + weight * max(samples.y - 1.0, 0.0)));
}
