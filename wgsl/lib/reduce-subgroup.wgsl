// Reductions over a workgroup. Each subgroup first reduces its own values. Then the results, one for each subgroup, are reduced in
// workgroup memory. Every invocation must call them (uniform control flow), and gets the result.
// They need subgroups whose invocations are consecutive; the self-test checks that.
// Constants: WG, SUBGROUP, FIGURE_LANES

var<workgroup> reduce_f: array<vec4f, WG / SUBGROUP>;
var<workgroup> reduce_u: array<u32, WG / SUBGROUP>;
var<private> sg_size: u32;
var<private> sg_lane: u32;
var<private> sg_shift: u32;              // log2(sg_size)

// Counts the subgroup's size and the invocation's place in it. Builtins would have them, too, but they are arguments of an entry point, and
// kernels that also run without subgroups would need two entry points.
fn setup_reduce() {
  sg_size = subgroupAdd(1u);
  sg_lane = subgroupExclusiveAdd(1u);
  sg_shift = firstTrailingBit(sg_size);
}

// Merges the softmax (maximum, sum) of all lanes of the subgroup.
fn subgroup_softmax(own: vec2f) -> vec2f {
  let top = subgroupMax(own.x);
  return vec2f(top, subgroupAdd(own.y * exp(own.x - top)));
}

// Merges the softmax (maximum, sum) of all invocations.
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
  let of_subgroup = subgroupAdd(value);
  if (sg_lane == 0u) { reduce_f[lid >> sg_shift] = of_subgroup; }
  workgroupBarrier();
  var sum = reduce_f[0];
  for (var i = 1u; i < (WG >> sg_shift); i++) { sum += reduce_f[i]; }
  workgroupBarrier();
  return sum;
}

// Sums over the FIGURE_LANES neighbouring invocations that serve one head. Each has x and y relative to its own maximum, `own_top`; in the
// result they are relative to the largest of these maxima. z and w are plain sums.
fn figure_sum(own_top: f32, value: vec4f, lid: u32) -> vec4f {
  var top = own_top;
  for (var bit = 1u; bit < FIGURE_LANES; bit <<= 1u) { top = max(top, subgroupShuffleXor(top, bit)); }
  var sum = value * vec4f(vec2f(exp(own_top - top)), 1.0, 1.0);
  for (var bit = 1u; bit < FIGURE_LANES; bit <<= 1u) { sum += subgroupShuffleXor(sum, bit); }
  return sum;
}

// A prefix sum in two steps, of which few invocations need the second (span_scan). A span is a subgroup.
// The result has sums of the values. x: of the invocations before this one's span. y: of all invocations. z: of the span.
// There must be a barrier before it is called again.
fn workgroup_spans(value: u32, lid: u32) -> vec3<u32> {
  let span = subgroupAdd(value);
  let mine = lid >> sg_shift;
  if (sg_lane == 0u) { reduce_u[mine] = span; }
  workgroupBarrier();
  // Every subgroup adds up all subgroups' sums with its lanes side by side, since a workgroup of 1,024 has many.
  var before = 0u;
  var all = 0u;
  for (var i = sg_lane; i < (WG >> sg_shift); i += sg_size) {
    let n = reduce_u[i];
    before += select(0u, n, i < mine);
    all += n;
  }
  return vec3<u32>(subgroupAdd(before), subgroupAdd(all), span);
}
// The sum of the values of those invocations of the span that come before this one.
fn span_scan(value: u32) -> u32 { return subgroupExclusiveAdd(value); }

// Subtotals whose sum over all invocations is the sum of the values. Only one invocation of a subgroup has one that is not 0, so that few
// atomic additions are needed.
fn subtotal(value: u32) -> u32 { return select(0u, subgroupAdd(value), sg_lane == 0u); }

// The value of the lane whose number differs from this one's in one bit.
fn from_lane(value: vec4f, bit: u32) -> vec4f { return subgroupShuffleXor(value, bit); }
