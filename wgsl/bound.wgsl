// A lower bound of every head's log-normaliser before the pass over K: the scores of the first SINK keys and of the newest, which
// hold most of the probability in a language model. With the threshold it gives the cut for one-pass sifting: what is kept is a
// superset of the rows at or above the threshold.
// Grid: (KV_HEADS, 1, batch).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;            // [batch]
@group(0) @binding(2) var<storage, read> q: array<Word>;                 // [batch, QUERY_HEADS, HEAD_SIZE]
@group(0) @binding(3) var<storage, read> keys: array<Word>;              // rows where k_row says
@group(0) @binding(4) var<storage, read> heads_state: array<HeadState>;  // [batch, QUERY_HEADS]
@group(0) @binding(5) var<storage, read_write> cuts: array<f32>;         // [batch, QUERY_HEADS]

const SINK = 64u;
const SAMPLE = 256u;                     // keys in all

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  setup_reduce();
  let batch = wid.z;
  let kv_head = wid.x;
  let head0 = batch * QUERY_HEADS + kv_head * GROUP;
  let slot = lid / LANES;
  let lane = lid % LANES;
  var query: Query;
  load_query(&query, head0, GROUP, lane);
  let length = u32(lengths[batch]) + params.length_bias;
  let sample = min(SAMPLE, length);
  var softmax: array<vec2f, HEADS>;
  for (var h = 0u; h < HEADS; h++) { // unroll
    softmax[h] = vec2f(LOWEST, 0.0);
  }
  for (var base = 0u; base < sample; base += SLOTS * UNROLL) {
    var rows: Rows;
    for (var j = 0u; j < UNROLL; j++) { // unroll
      let i = min(base + batch_row(slot, j), sample - 1u);
      let row = k_row(batch, kv_head, select(length - sample + i, i, i < SINK));
      for (var n = 0u; n < LANE_WORDS; n++) { // unroll
        rows[j * LANE_WORDS + n] = keys[row + min(lane + n * LANES, WORDS - 1u)];
      }
    }
    let score = row_scores(&query, &rows, lane);
    let counts = lane < UNROLL && base + batch_row(slot, lane % UNROLL) < sample;
    for (var h = 0u; h < HEADS; h++) { // unroll
      if (counts) { softmax[h] = merge_softmax(softmax[h], vec2f(score[h], 1.0)); }
    }
  }
  for (var h = 0u; h < HEADS; h++) { // unroll
    let whole = workgroup_softmax(softmax[h], lid);
    if (lid == h) {
      let head = head0 + h;
      let eta = log_threshold(heads_state[head].status, heads_state[head].log_alpha, heads_state[head].beta, length);
      cuts[head] = select(LOWEST, whole.x + log(whole.y) + eta, eta > LOWEST);
    }
  }
}
