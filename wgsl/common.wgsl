// Shared by every kernel. The assembler (src/kernel/wgsl.ts) puts the constants of one shape in front:
//   HEAD_SIZE   elements of a K or V row            GROUP   query heads per KV head
//   HEADS       query heads handled by a workgroup  BLOCKS  ceil(GROUP / HEADS)
//   WORDS       storage words of a row              V4      vec4f per storage word
//   WG          invocations of a workgroup          QUERY_HEADS, KV_HEADS
//   TEAM        lanes that share a queue of rows: at most a subgroup, at most 32
//   TEAM_SLOTS  slots (rows.wgsl) of a team         TEAMS   teams of a workgroup
//   ACC         vec4f of the output that a lane of a slot holds
//   SUBGROUP    invocations of a subgroup at least  MAX_SPLITS
//   PART        vec4f of a split's result: the output, and (kept mass, kept rows, rows read, 0)
//               part_out is [batch, QUERY_HEADS, splits, PART] and what stands for rows that are not read, [batch, QUERY_HEADS, PART]
//   VECS        vec4f of a row                          MOMENTS    vec4f of a KV head's moments: the mean V row, Cov(v, k)
//               by elements of k, and (rows they are taken from, 0, 0, 0)
//   SLICES      workgroups of combine for a head, each with VECS / SLICES vec4f of the row
//   ADDERS      splits that such a workgroup adds side by side, an invocation for each vec4f, LOADS of them at a time
//   MERGES      how often neighbouring adders' sums are made one by exchanges between lanes
//   KEEPERS     invocations of combine that keep a head's figures     KEPT_HEADS  heads whose figures a workgroup keeps
//   FIGURE_KEEPERS  workgroups that keep figures
//   SCORE_BINS  bins of the quantile                    BINS_EACH  of them per invocation
//   PARTS       of a turn of the queue, each of PART_ROWS rows a slot; those without a row are left out
//   KNOWN_SPLITS  splits of the one-pass kernel that have the first and the newest keys (flash-sift.wgsl)
//   HELD        vec4u of scores, eight each, that an invocation of the quantile holds
//   PAIR_LANES  from the lane that has a key to the one that has its neighbour, where scores are stored
// Loops marked "unroll" may be unrolled in the text (src/kernel/unroll.ts).

const LOWEST: f32 = -3.4e38;  // stands for -inf: WGSL may assume that infinities do not occur
const FLAG_RENORMALISE = 1u;
const FLAG_SHARE = 2u;
const FLAG_NEWEST = 4u;
const FLAG_LARGEST = 8u;
const FLAG_LENGTH_AXIS = 16u;
const FLAG_MASS = 32u;
const FLAG_ANALYTIC = 64u;    // the level is given (params.log_alpha, params.beta), nothing is learned
const FLAG_GUARD = 128u;
const FLAG_DENSE = 256u;      // this step keeps every row
const FLAG_RECORD = 512u;     // this step records a threshold in the window
const FLAG_FIT = 1024u;       // ... and it is the last of the window: fit
const FLAG_MEAN = 2048u;      // the mean V row stands for the rows that are not read
const FLAG_LINEAR = 4096u;    // ... and Cov(v, k) q

const LEARNING = 0u;
const FITTED = 1u;
const GUARDED = 2u;
const UNFIT = 3u;

struct Params {
  length_bias: u32,     // keys = lengths[batch] + length_bias
  capacity: u32,        // rows between two KV heads in K and V
  score_stride: u32,    // floats between two query heads in the scores
  splits: u32,          // workgroups that share the keys of one KV head
  chunk: u32,           // keys of one split
  step: u32,            // decode step, 1 for the first token after the prompt
  window: u32,          // thresholds of a full learning window (w)
  window_index: u32,    // place of this step in the window
  flags: u32,
  scale: f32,           // 1 / sqrt(head size), as the runtime gives it
  target_value: f32,    // tau of a quantile, epsilon of a mass
  log_alpha: f32,
  beta: f32,            // prior mean of the exponent, or the analytic exponent
  beta_variance: f32,   // 0: fixed at the mean; negative: free
  batch: u32,           // sequences
  pad: u32,
}

// What a head has learned, and what it did last. Read back only by report().
struct HeadState {
  log_alpha: f32, beta: f32, r2: f32, status: u32,
  log_eta: f32, kept_last: u32, length_last: u32, mass_last: f32,
  kept_lo: u32, kept_hi: u32, rows_lo: u32, rows_hi: u32,
  mass_sum: f32, ema: f32, steps: u32, age: u32,
}
const HEAD_VECS = 4u;                                    // vec4u of it, a line each

// What a group last read, and in all, is a vec4u: (union_lo, union_hi, union_last, 0).

fn has(flags: u32, flag: u32) -> bool { return (flags & flag) != 0u; }

// Two parts of a softmax, each (maximum, sum of exp(score - maximum)), as one.
fn merge_softmax(a: vec2f, b: vec2f) -> vec2f {
  let m = max(a.x, b.x);
  return vec2f(m, a.y * exp(a.x - m) + b.y * exp(b.x - m));
}
