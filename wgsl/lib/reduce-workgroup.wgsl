// Reductions over a workgroup for devices without subgroups, through workgroup memory. The functions are those of reduce-subgroup.wgsl.
// Every invocation must call them (uniform control flow), and gets the result.
// Constants: WG

var<workgroup> reduce_s: array<vec2f, WG>;
var<workgroup> reduce_f: array<vec4f, WG>;
var<workgroup> reduce_u: array<u32, WG>;

fn setup_reduce() {}

// Merges the softmax (maximum, sum) of all invocations.
fn workgroup_softmax(value: vec2f, lid: u32) -> vec2f {
  reduce_s[lid] = value;
  workgroupBarrier();
  for (var n = WG / 2u; n > 0u; n >>= 1u) {
    if (lid < n) { reduce_s[lid] = merge_softmax(reduce_s[lid], reduce_s[lid + n]); }
    workgroupBarrier();
  }
  let result = reduce_s[0];
  workgroupBarrier();
  return result;
}

fn workgroup_sum(value: vec4f, lid: u32) -> vec4f {
  reduce_f[lid] = value;
  workgroupBarrier();
  for (var n = WG / 2u; n > 0u; n >>= 1u) {
    if (lid < n) { reduce_f[lid] += reduce_f[lid + n]; }
    workgroupBarrier();
  }
  let sum = reduce_f[0];
  workgroupBarrier();
  return sum;
}

// As in reduce-subgroup.wgsl; here a whole workgroup serves one head.
fn figure_sum(own_top: f32, value: vec4f, lid: u32) -> vec4f {
  let top = workgroup_softmax(vec2f(own_top, 0.0), lid).x;
  return workgroup_sum(value * vec4f(vec2f(exp(own_top - top)), 1.0, 1.0), lid);
}

// A prefix sum. x: the sum of the values of the invocations before this one. y: the sum over all invocations.
fn workgroup_scan(value: u32, lid: u32) -> vec2<u32> {
  reduce_u[lid] = value;
  workgroupBarrier();
  for (var n = 1u; n < WG; n <<= 1u) {
    var add = 0u;
    if (lid >= n) { add = reduce_u[lid - n]; }
    workgroupBarrier();
    reduce_u[lid] += add;
    workgroupBarrier();
  }
  let inclusive = reduce_u[lid];
  let total = reduce_u[WG - 1u];
  workgroupBarrier();
  return vec2<u32>(inclusive - value, total);
}

// As in reduce-subgroup.wgsl; here a span is one invocation, so that nothing of it comes before.
fn workgroup_spans(value: u32, lid: u32) -> vec3<u32> { return vec3<u32>(workgroup_scan(value, lid), value); }
fn span_scan(value: u32) -> u32 { return 0u; }

// As in reduce-subgroup.wgsl; here every invocation's subtotal is its own value.
fn subtotal(value: u32) -> u32 { return value; }

// Without subgroups no lane can be asked. No loop calls it then, since MERGES is 0.
fn from_lane(value: vec4f, bit: u32) -> vec4f { return value; }
