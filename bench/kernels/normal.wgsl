// Fills a buffer with standard normals: Box-Muller on a counter-based hash (pcg2d), one f32 or two f16 per word.
override HALF: bool;

struct Params { seed: u32, words: u32, stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;

fn pcg2d(seed: vec2u) -> vec2u {
  var v = seed * 1664525u + 1013904223u;
  v.x += v.y * 1664525u;
  v.y += v.x * 1664525u;
  v ^= v >> vec2u(16u);
  v.x += v.y * 1664525u;
  v.y += v.x * 1664525u;
  return v ^ (v >> vec2u(16u));
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  for (var i = id.x; i < params.words; i += params.stride) {
    let bits = pcg2d(vec2u(i, params.seed)) >> vec2u(8u);
    let radius = sqrt(-2.0 * log((f32(bits.x) + 1.0) / 16777216.0));
    let angle = 6.283185307 * f32(bits.y) / 16777216.0;
    let pair = radius * vec2f(cos(angle), sin(angle));
    output[i] = select(bitcast<u32>(pair.x), pack2x16float(pair), HALF);
  }
}
