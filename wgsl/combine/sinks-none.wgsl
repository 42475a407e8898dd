// For layers without attention sinks: the factor of a head's output is one over its softmax sum.
// own: the head within its sequence, which only the module for sinks needs (sinks-read.wgsl).
// softmax: (maximum, sum) over all keys. divisor: that sum, or the kept mass.

fn output_factor(own: u32, divisor: f32, softmax: vec2f) -> f32 { return select(0.0, 1.0 / divisor, divisor > 0.0); }
