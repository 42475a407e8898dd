// What the log-normaliser of a head is estimated from: the first SINK and the NEWEST keys, which hold most of the probability in a
// language model, and SAMPLES of the keys between, spread evenly, each for all those it stands for. The largest sample stands for
// itself alone: else one that happens to be a key of high probability would raise the threshold for all. Exact with at most
// SINK + NEWEST + SAMPLES keys.
// Constants: SAMPLES, SINK

// The key of place i: known ones first, samples after. Place k of SAMPLES is key floor((2k + 1) * between / (2 SAMPLES)) of those
// between, here without overflow; where there are fewer than SAMPLES, each is one. (As spread.wgsl, whose divisor is no constant.)
fn sample_key(i: u32, edge: u32, sampled: u32, length: u32) -> u32 {
  let between = length - edge;
  let k = i - edge;
  let a = 2u * k + 1u;
  let far = a * (between / (2u * SAMPLES)) + (a * (between % (2u * SAMPLES))) / (2u * SAMPLES);
  let near = select(between + i, i, i < SINK);
  return select(SINK + select(far, k, sampled < SAMPLES), near, i < edge);
}

// The softmax (max, sum) that is estimated from those of the known keys and of the samples.
fn extrapolate(near: vec2f, far: vec2f, edge: u32, sampled: u32, length: u32) -> vec2f {
  if (sampled == 0u) { return near; }
  let weight = f32(length - edge) / f32(sampled);
  return merge_softmax(near, vec2f(far.x, 1.0 + weight * max(far.y - 1.0, 0.0)));
}
