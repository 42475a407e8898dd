// Stores the log-sum-exp of every head's scores to base 2, which is m + log2(sum of 2^(s - m)) with scores s that are scaled by log2(e).
// Runtimes with a paged cache use it to merge the attention over several sets of keys.
// softmax: (maximum, sum) with natural exponents.

fn store_lse(head: u32, softmax: vec2f) { lse[head] = softmax.x * 1.4426950408889634 + log2(softmax.y); }
