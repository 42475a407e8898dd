// Reductions over a workgroup: subgroup operations first, one slot per subgroup in workgroup memory after.
// Every invocation must call them (uniform control flow), and every invocation receives the result.
// The scan depends on invocations of a subgroup being consecutive; the self-test checks it.
// Constants: WG, SUBGROUP, FIGURE_LANES

var<workgroup> reduce_f: array<vec4f, WG / SUBGROUP>;
var<workgroup> reduce_u: array<u32, WG / SUBGROUP>;
var<private> sg_size: u32;
var<private> sg_lane: u32;
var<private> sg_shift: u32;              // log2(sg_size)

// Counted, not taken from builtins, so that no kernel needs other arguments when subgroups are in use.
fn setup_reduce() {
  sg_size = subgroupAdd(1u);
  sg_lane = subgroupExclusiveAdd(1u);
  sg_shift = firstTrailingBit(sg_size);
}

fn subgroup_softmax(part: vec2f) -> vec2f {
  let top = subgroupMax(part.x);
  return vec2f(top, subgroupAdd(part.y * exp(part.x - top)));
}

// (maximum, sum relative to it) of the softmax over all invocations' (maximum, sum).
fn workgroup_softmax(value: vec2f, lid: u32) -> vec2f {
  let mine = subgroup_softmax(value);
  if (sg_lane == 0u) { reduce_f[lid >> sg_shift] = vec4f(mine, 0.0, 0.0); }
  workgroupBarrier();
  var result = reduce_f[0].xy;
  for (var i = 1u; i < (WG >> sg_shift); i++) { result = merge_softmax(result, reduce_f[i].xy); }
  workgroupBarrier();
  return result;
}

fn workgroup_sum(value: vec4f, lid: u32) -> vec4f {
  let part = subgroupAdd(value);
  if (sg_lane == 0u) { reduce_f[lid >> sg_shift] = part; }
  workgroupBarrier();
  var sum = reduce_f[0];
  for (var i = 1u; i < (WG >> sg_shift); i++) { sum += reduce_f[i]; }
  workgroupBarrier();
  return sum;
}

// The sums over FIGURE_LANES neighbouring invocations, for the first of them: x and y relative to each one's maximum, and of the result to that
// of all; z and w as they are.
fn figure_sum(own_top: f32, value: vec4f, lid: u32) -> vec4f {
  var top = own_top;
  for (var bit = 1u; bit < FIGURE_LANES; bit <<= 1u) { top = max(top, subgroupShuffleXor(top, bit)); }
  var sum = value * vec4f(vec2f(exp(own_top - top)), 1.0, 1.0);
  for (var bit = 1u; bit < FIGURE_LANES; bit <<= 1u) { sum += subgroupShuffleXor(sum, bit); }
  return sum;
}

// A scan in two steps, the second of which only few need. Sums of the values, x: of the invocations before this one's span, a subgroup; y: of
// all; z: of the span. There must be a barrier before it is called again.
fn workgroup_spans(value: u32, lid: u32) -> vec3<u32> {
  let span = subgroupAdd(value);
  let mine = lid >> sg_shift;
  if (sg_lane == 0u) { reduce_u[mine] = span; }
  workgroupBarrier();
  // Each subgroup adds up the sums of all: workgroups of 1,024 have many.
  var before = 0u;
  var all = 0u;
  for (var i = sg_lane; i < (WG >> sg_shift); i += sg_size) {
    let n = reduce_u[i];
    before += select(0u, n, i < mine);
    all += n;
  }
  return vec3<u32>(subgroupAdd(before), subgroupAdd(all), span);
}
// The sum of the values of the invocations before this one within the span.
fn span_scan(value: u32) -> u32 { return subgroupExclusiveAdd(value); }

// Of the values of all invocations, sums that together are their sum: what is to be added up by atomics.
fn subtotal(value: u32) -> u32 { return select(0u, subgroupAdd(value), sg_lane == 0u); }

// What the lane whose number differs in one bit has.
fn from_lane(value: vec4f, bit: u32) -> vec4f { return subgroupShuffleXor(value, bit); }
